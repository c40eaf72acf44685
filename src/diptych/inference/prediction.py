"""Predictions: what goes in, in the forms people have it, and what comes out.

Shapes: N batch, H height, W width, C channels, K classes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

from diptych.core.errors import DataError
from diptych.tasks import Item
from diptych.tasks.classification import softmax
from diptych.tasks.image import SUFFIXES


class Prediction(Struct, frozen=True, kw_only=True):
    """One answer: the input's name, the likeliest label, its probability, and all of them."""

    input: str
    label: str
    score: float
    scores: dict[str, float]


def pictures(folder: Path) -> Iterator[Path]:
    """Find the pictures in a folder and the folders below it.

    Args:
        folder: An existing folder.

    Yields:
        Paths with a picture's suffix, sorted; hidden ones are left out.

    Raises:
        DataError: If there is none.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise DataError(f"{folder} holds no pictures", f"known: {', '.join(SUFFIXES)}")
    yield from found


def name_of(item: Item, index: int | None = None) -> str:
    """Name an input for people.

    Args:
        item: A path, an encoded picture, or an array.
        index: Its place in the list it came in.

    Returns:
        The path, or such as ``bytes`` or ``array#3``.
    """
    if isinstance(item, str | Path):
        return str(item)
    kind = "bytes" if isinstance(item, bytes) else "array"
    return kind if index is None else f"{kind}#{index}"


def from_logits(
    names: Sequence[str], logits: np.ndarray, labels: Sequence[str]
) -> list[Prediction]:
    """Turn logits into answers.

    Args:
        names: The inputs' names, N of them.
        logits: float32 (N, K).
        labels: The classes' names, K of them.

    Returns:
        One prediction for each input.
    """
    answers = []
    bests, rows = logits.argmax(axis=1).tolist(), softmax(logits).tolist()
    for name, best, scores in zip(names, bests, rows, strict=True):
        answers.append(
            Prediction(
                input=name,
                label=labels[best],
                score=scores[best],
                scores=dict(zip(labels, scores, strict=True)),
            )
        )
    return answers
