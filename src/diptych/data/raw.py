"""What a reader hands over: labels as written, and pictures not yet decoded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
Content = bytes | Path | np.ndarray
Batches = Callable[[], Iterator[Sequence[Content]]]


@dataclass(frozen=True, kw_only=True)
class RawSplit:
    """One split as read: `items` names each of N for people, `labels` are as the source has them.

    `pictures` is uint8 (N, H, W), or a function that goes through files or their content in
    batches, so that no more than one batch is held before decoding.
    """

    items: Sequence[str]
    labels: Sequence[object]
    pictures: np.ndarray | Batches

    def batches(self) -> Iterator[Sequence[Content]]:
        """Go through the pictures.

        Yields:
            Some pictures at a time, in order.
        """
        if isinstance(self.pictures, np.ndarray):
            yield tuple(self.pictures)
        else:
            yield from self.pictures()


@dataclass(frozen=True, kw_only=True)
class RawData:
    """A source as read: its splits, of which `train` is always there.

    `classes[k]` is the name behind the label k, where the source says so.
    """

    name: str
    splits: dict[str, RawSplit]
    classes: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()
