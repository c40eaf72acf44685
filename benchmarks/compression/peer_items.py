"""What all tools of `compression.peer` share: items, a clock, how items are handed out.

Read in each tool's own environment: the standard library and NumPy only.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

BATCH = 64
MOST_DROP = 0.005


class Items:
    """What a tool is given: a model, items to calibrate with, labelled items to judge by, time.

    `cuts_sums` says whether the processor cuts sums of 8-bit products.
    """

    def __init__(self, folder: Path, limit_s: float, *, cuts_sums: bool) -> None:
        self.limit_s, self.cuts_sums = limit_s, cuts_sums
        self.model = folder / "model.onnx"
        self.calibration = np.load(folder / "calibration.npy")
        self.validation = np.load(folder / "validation.npy")
        self.labels = np.load(folder / "labels.npy")


class Clock:
    seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.seconds += time.monotonic() - begin


class Batches:
    """Hands calibration items out as ONNX Runtime's quantizer, and those made of it, ask."""

    def __init__(self, name: str, items: np.ndarray) -> None:
        self.name, self.items = name, items
        self.rewind()

    def rewind(self) -> None:
        starts = range(0, len(self.items), BATCH)
        self.left = iter([{self.name: self.items[start : start + BATCH]} for start in starts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.left, None)


def input_name(path: Path) -> str:
    import onnx

    return onnx.load(path).graph.input[0].name


def keep(program: Path, out: Path) -> None:
    """Take the program out of what a tool wrote beside it."""
    shutil.copyfile(program, out / "model.onnx")
    shutil.rmtree(out / "work.tmp", ignore_errors=True)
