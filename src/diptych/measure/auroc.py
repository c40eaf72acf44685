"""The area under the ROC curve, with an interval: of one label, or the mean over several.

The area is the share of (positive, negative) pairs of items that a score puts in the right order,
ties counting half. DeLong's variance comes from each item's own share of right pairs; for several
labels these shares are averaged item by item, so that what labels have in common is counted. The
interval is built on the log-odds of the area and stays between 0 and 1. A label that is separated
without an error, or has a single item on one side, shows no spread: its variance is then that of
Wilson's interval for as many items as its smaller side has, an upper bound (Birnbaum and Klose).

Shapes: N items, K labels.

Source: E. DeLong, D. DeLong and D. Clarke-Pearson, Biometrics 44, 1988; Z. Birnbaum and O. Klose,
Annals of Mathematical Statistics 28, 1957.
"""

import math

import numpy as np

from diptych.core.values import Estimate
from diptych.measure.means import unknown
from diptych.measure.proportions import normal_quantile, proportion


def auroc(scores: np.ndarray, positives: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Estimate the area under the ROC curve, averaged over labels.

    Args:
        scores: (N, K), higher where a label is likelier.
        positives: bool (N, K), whether an item has a label.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The mean area of the labels that some items have and some do not, with its interval; if
        there is no such label, or a score is not a number, nothing is known.
    """
    if np.isnan(scores).any():
        return unknown("undefined: a score is not a number")
    counts = np.count_nonzero(positives, axis=0)
    told = np.flatnonzero((counts > 0) & (counts < len(positives)))
    if not len(told):
        return unknown("undefined: every item is of one class")
    z = normal_quantile(confidence)
    areas, shares, unseen = [], np.zeros(len(scores)), 0.0
    for label in told:
        area, own = components(scores[:, label], positives[:, label])
        areas.append(area)
        shares += own / len(told)
        if not own.any() or min(counts[label], len(scores) - counts[label]) < 2:
            unseen += (_reach(area, positives[:, label], confidence) / z / len(told)) ** 2
    value = float(np.mean(areas))
    low, high = _interval(value, z * math.sqrt(float(shares @ shares) + unseen))
    return Estimate(
        value=value,
        low=low,
        high=high,
        n=len(scores),
        method=_method(len(told), positives.shape[1]),
        confidence=confidence,
    )


def components(scores: np.ndarray, positives: np.ndarray) -> tuple[float, np.ndarray]:
    """Compute the area for one label, and what each item adds to its error.

    Args:
        scores: (N,), higher where the label is likelier.
        positives: bool (N,), of both values.

    Returns:
        The area, and (N,) deviations whose squares sum to DeLong's variance.
    """
    above, below = scores[positives], scores[~positives]
    share_above = _beaten(above, np.sort(below)) / len(below)
    share_below = 1 - _beaten(below, np.sort(above)) / len(above)
    area = float(share_above.mean())
    own = np.zeros(len(scores))
    own[positives] = _deviations(share_above - area)
    own[~positives] = _deviations(share_below - area)
    own[np.abs(own) < 1e-15] = 0.0
    return area, own


def _beaten(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Return how many of the ordered values each value is above, ties counting half."""
    left = np.searchsorted(ordered, values, side="left")
    return np.asarray((left + np.searchsorted(ordered, values, side="right")) / 2)


def _deviations(rest: np.ndarray) -> np.ndarray:
    return rest / math.sqrt(len(rest) * max(len(rest) - 1, 1))


def _reach(area: float, positives: np.ndarray, confidence: float) -> float:
    smaller = int(min(np.count_nonzero(positives), np.count_nonzero(~positives)))
    wilson = proportion(round(area * smaller), smaller, confidence)
    return max(area - wilson.low, wilson.high - area)


def _interval(value: float, reach: float) -> tuple[float, float]:
    if not 0 < value < 1:
        return max(0.0, value - reach), min(1.0, value + reach)
    odds, wide = math.log(value / (1 - value)), reach / (value * (1 - value))
    return _share(odds - wide), _share(odds + wide)


def _share(log_odds: float) -> float:
    return 0.5 * (1 + math.tanh(log_odds / 2))


def _method(told: int, labels: int) -> str:
    if labels == 1:
        return "DeLong's variance, log-odds interval"
    return f"mean over {told} of {labels} labels, DeLong's variance, log-odds interval"
