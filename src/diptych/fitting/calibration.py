"""Calibration items: from the training split only, and none that the test split has too.

Identical items in both happen in real data; such an item would let the test split have a say in
the program that it is to judge. Where too few are left, nothing is quantized: a test split that is
the training split over again is no reason to fail, but int8 would be judged by what made it.
"""

import numpy as np

from diptych.core.progress import Reporter, Step
from diptych.core.seeds import generator
from diptych.core.values import Dataset
from diptych.data.fingerprint import digests
from diptych.targets.calibration import MIN_ITEMS


def calibration_items(dataset: Dataset, count: int, seed: int, report: Reporter) -> np.ndarray:
    """Choose the items that set the ranges of 8-bit numbers.

    Args:
        dataset: The data.
        count: How many to choose, if there are so many.
        seed: Of the choice.
        report: Told of items that were left out.

    Returns:
        Raw inputs (M, ...) of the training split, M at most `count`; items that are in the test
        split too are passed over, so M may be 0.
    """
    inputs = dataset.train.inputs
    order = generator(seed, "calibration").permutation(len(inputs))
    chosen: list[int] = []
    tested, shared = digests(dataset.test.inputs), 0
    for start in range(0, len(order), count):
        rows = np.sort(order[start : start + count])
        apart = ~np.isin(digests(inputs[rows]), tested)
        chosen += rows[apart][: count - len(chosen)].tolist()
        shared += int((~apart).sum())
        if len(chosen) == count:
            break
    if shared:
        _tell(report, f"{shared} items are in the test split too and were passed over")
    if len(chosen) < MIN_ITEMS:
        _tell(report, f"{len(chosen)} items are too few for 8 bits: no program will be in int8")
    return np.ascontiguousarray(inputs[np.sort(np.array(chosen, np.int64))])


def _tell(report: Reporter, note: str) -> None:
    report(Step(stage="calibration", done=1, total=1, note=note))
