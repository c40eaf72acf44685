"""Example pictures for the page: golden inputs with what the model says of them.

Shapes: N examples, H height, W width, C channels (1 or 3), K classes.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from diptych.tasks.classification import softmax

MOST = 18
MOST_PIXELS = 160


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture as a ``data:`` address, the label the model gives it, and its score."""

    picture: str
    label: str
    score: float


def pick(inputs: np.ndarray, logits: np.ndarray, labels: Sequence[str]) -> tuple[Example, ...]:
    """Choose pictures that show as many predicted classes as possible.

    Args:
        inputs: uint8 (N, H, W, C).
        logits: (N, K) of one program.
        labels: K names.

    Returns:
        At most 18 examples: the first of every predicted class, then the second, and so on.
    """
    predicted = logits.argmax(axis=1)
    scores = softmax(logits)
    order = _in_turns(predicted)[:MOST]
    return tuple(
        Example(
            picture=data_address(inputs[index]),
            label=labels[predicted[index]],
            score=float(scores[index, predicted[index]]),
        )
        for index in order
    )


def data_address(pixels: np.ndarray) -> str:
    """Write a picture as an address that holds it.

    Args:
        pixels: uint8 (H, W, C).

    Returns:
        ``data:image/png;base64,...``, at most 160 pixels a side.
    """
    shaped = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(shaped))
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _in_turns(classes: np.ndarray) -> list[int]:
    seen: dict[int, int] = {}
    ranked = []
    for index, label in enumerate(classes.tolist()):
        seen[label] = seen.get(label, 0) + 1
        ranked.append((seen[label], label, index))
    return [index for _, _, index in sorted(ranked)]
