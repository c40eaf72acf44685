"""What a reader hands over: labels as written, and items not yet prepared."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diptych.core.errors import DataError
from diptych.core.specs import Notation

Kind = Literal["image", "audio", "text", "table", "own"]
SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "t10k": "test",
}
BATCH_ITEMS = 256
Content = bytes | Path | np.ndarray
Batches = Callable[[], Iterator[Sequence[Content]]]
Table = Any
"""A ``pyarrow.Table``, which has no types."""


@dataclass(frozen=True, kw_only=True)
class RawSplit:
    """One split as read: `items` names each of N for people, `labels` are as the source has them.

    `contents` of pictures and sounds are uint8 (N, H, W), or a function that goes through files or
    their content in batches, so that no more than one batch is held before decoding; of text they
    are N strings; of a table its columns without the label's.
    """

    items: Sequence[str]
    labels: Sequence[object]
    contents: np.ndarray | Batches | Sequence[str] | Table

    def batches(self) -> Iterator[Sequence[Content]]:
        """Go through pictures or sounds.

        Yields:
            Some of them at a time, in order.
        """
        if isinstance(self.contents, np.ndarray):
            for start in range(0, len(self.contents), BATCH_ITEMS):
                yield tuple(self.contents[start : start + BATCH_ITEMS])
        elif callable(self.contents):
            yield from self.contents()


@dataclass(frozen=True, kw_only=True)
class RawData:
    """A source as read: its splits, of which `train` is always there.

    `classes[k]` is the name behind the label k, where the source says so; `target` is the name of
    the label's column, where it has one, and `target_notation` how CSV writes its numbers.
    """

    name: str
    splits: dict[str, RawSplit]
    kind: Kind = "image"
    classes: tuple[str, ...] | None = None
    target: str | None = None
    target_notation: Notation = "1234.5"
    warnings: tuple[str, ...] = ()


def named_splits(source: Path, names: Iterable[str]) -> dict[str, str]:
    """Tell which split each name is, such as ``val`` or ``Dev``.

    Args:
        source: Where they are, for errors.
        names: As the source has them.

    Returns:
        The name of each of ``SPLITS`` that there is.

    Raises:
        DataError: If a name is that of no split, or two are of one.
    """
    found: dict[str, str] = {}
    for name in names:
        split = SPLIT_NAMES.get(name.lower())
        if split is None:
            raise DataError(f"{source} gives a split {name!r}", f"known: {', '.join(SPLITS)}")
        if split in found:
            raise DataError(
                f"{found[split]!r} and {name!r} of {source} are both the {split} split",
                "put them together, or rename one",
            )
        found[split] = name
    return found
