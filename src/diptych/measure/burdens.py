"""Burdens: which groups of items lose more than the others, more than chance would have it.

A group bears more than its share where two things hold. It lost more items than it gained: the
exact sign test, which holds however hard the group's items are. And it lost a larger share of its
items than all the others together: a z test with each side's own variance, since a hard group
flips more often both ways; the others are given one more item lost and one more gained, so that a
few items without a flip are no proof. The p-value of a group is the larger of the two, and over
the groups Holm's correction holds the chance of any false alarm.

Shapes: G groups, which share no items.

Source: the tests are McNemar's and Welch's; requiring both is R. Berger's intersection-union test,
Technometrics 24, 1982. The added items are after A. Agresti and B. Coull, 1998.
"""

import math

import numpy as np

from diptych.measure.signs import holm, losing

LEVEL = 0.05


def burdens(lost: np.ndarray, gained: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Test for each group whether it bears more than its share of what was lost.

    Args:
        lost: int (G,), how many of a group's items got worse.
        gained: int (G,), how many got better.
        sizes: int (G,), how many items a group has; at least as many as lost and gained.

    Returns:
        float64 (G,) p-values, corrected for the number of groups that have items; 1 for a group
        without any. Groups at or below a level bear more than their share.
    """
    there = np.flatnonzero(sizes > 0)
    own = np.array([losing(int(lost[group]), int(gained[group])) for group in there])
    others = _above_the_others(lost[there], gained[there], sizes[there])
    corrected = np.ones(len(sizes))
    corrected[there] = holm(np.maximum(own, others))
    return corrected


def _above_the_others(lost: np.ndarray, gained: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return one-sided p-values that a group's net loss is no larger than that of the others."""
    net = (lost - gained) / sizes
    variance = (lost + gained) / sizes**2 - net**2 / sizes
    rest = np.maximum(sizes.sum() - sizes, 1)
    rest_flips = (lost + gained).sum() - lost - gained + 2
    rest_net = ((lost - gained).sum() - lost + gained) / rest
    excess = (net - rest_net) / np.sqrt(np.maximum(variance, 0.0) + rest_flips / rest**2)
    return np.array([0.5 * math.erfc(z / math.sqrt(2)) for z in excess.tolist()])
