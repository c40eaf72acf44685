"""Knots: where to cut a column of numbers so that a network can bend at each cut.

Half of the cuts are quantiles, so that each piece holds as many values; the other half divide what
is left between rare values too, by the root of their count: a column that is nearly always 0 would
otherwise be cut at 0 alone.

Shapes: N values, T pieces.
"""

import numpy as np


def knots(values: np.ndarray, pieces: int) -> np.ndarray:
    """Cut a column into pieces.

    Args:
        values: (N,) numbers, some of them NaN.
        pieces: T, at least 1.

    Returns:
        At most T + 1 different values in order; fewer than 2 where the column is constant.
    """
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(distinct) <= pieces + 1:
        return distinct
    places = np.linspace(0, counts.sum() - 1, pieces // 2 + 2).round().astype(np.int64)
    common = np.unique(np.searchsorted(np.cumsum(counts), places, side="right"))
    left = np.setdiff1d(np.arange(len(distinct)), common)
    weights = np.cumsum(np.sqrt(counts[left]))
    rest = pieces + 1 - len(common)
    shares = (np.arange(rest) + 0.5) / max(rest, 1) * weights[-1]
    rare = left[np.searchsorted(weights, shares)]
    return np.asarray(distinct[np.union1d(common, rare)])
