"""The area under the ROC curve, with an interval: of one label, or the mean over several.

The area is the share of (positive, negative) pairs of items that a score puts in the right order,
ties counting half. DeLong's variance comes from each item's own share of right pairs; for several
labels these shares are averaged item by item, so that what labels have in common is counted. Where
few items are out of order that variance is too small, at worst 0: it is drawn towards Hanley and
McNeil's, which the area alone decides, and a label without any error has Wilson's interval for as
many items as its smaller side has; these additions are taken as independent between labels. The
interval of the others is Wilson's too, for as many items as give a share their variance.

Shapes: N items, K labels.

Source: E. DeLong, D. DeLong and D. Clarke-Pearson, Biometrics 44, 1988; J. Hanley and B. McNeil,
Radiology 143, 1982; intervals of several parts combined as by G. Zou and A. Donner, Statistics in
Medicine 27, 2008. The weight between the two variances is ours.
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
    value, low, high = _mean_interval(scores[:, told], positives[:, told], confidence)
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
    order = np.argsort(scores)
    has = positives[order]
    above, below = scores[order[has]], scores[order[~has]]
    share_above = _beaten(above, below) / len(below)
    share_below = 1 - _beaten(below, above) / len(above)
    area = float(share_above.mean())
    own = np.zeros(len(scores))
    own[order[has]] = _deviations(share_above - area)
    own[order[~has]] = _deviations(share_below - area)
    own[np.abs(own) < 1e-15] = 0.0
    return area, own


def _mean_interval(
    scores: np.ndarray, positives: np.ndarray, confidence: float
) -> tuple[float, float, float]:
    """Return the mean area over labels, and its interval from those with errors and those without.

    `shares` are the items' deviations, `extra` what is added to their variance.
    """
    areas, flawed, below, above = [], [], [0.0], [0.0]
    shares, extra = np.zeros(len(scores)), 0.0
    for label in range(scores.shape[1]):
        area, own = components(scores[:, label], positives[:, label])
        areas.append(area)
        if own.any():
            flawed.append(area)
            shares += own
            extra += _extra_variance(area, own, positives[:, label])
        else:
            wilson = _bounds_without_error(area, positives[:, label], confidence)
            below.append(area - wilson.low)
            above.append(wilson.high - area)
    if flawed:
        z, center = normal_quantile(confidence), float(np.mean(flawed))
        variance = (float(shares @ shares) + extra) / len(flawed) ** 2
        low, high = _wilson_interval(center, variance, z)
        below.append((center - low) * len(flawed))
        above.append((high - center) * len(flawed))
    value = float(np.mean(areas))
    low, high = (math.hypot(*parts) / len(areas) for parts in (below, above))
    return value, max(0.0, value - low), min(1.0, value + high)


def _extra_variance(area: float, own: np.ndarray, positives: np.ndarray) -> float:
    """Return what Hanley and McNeil's variance has beyond DeLong's, weighed by how little is seen.

    The weight is 1 / (1 + the number of items on the smaller side that are out of order).
    """
    above = int(np.count_nonzero(positives))
    below = len(positives) - above
    theirs = area * (1 - area)
    theirs += (above - 1) * (area / (2 - area) - area**2)
    theirs += (below - 1) * (2 * area**2 / (1 + area) - area**2)
    weight = 1 / (1 + min(above, below) * (1 - area))
    return weight * max(0.0, theirs / (above * below) - float(own @ own))


def _bounds_without_error(area: float, positives: np.ndarray, confidence: float) -> Estimate:
    above = int(np.count_nonzero(positives))
    smaller = min(above, len(positives) - above)
    return proportion(round(area * smaller), smaller, confidence)


def _beaten(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Return how many of the ordered values each value is above, ties counting half."""
    left = np.searchsorted(ordered, values, side="left")
    return np.asarray((left + np.searchsorted(ordered, values, side="right")) / 2)


def _deviations(rest: np.ndarray) -> np.ndarray:
    return rest / math.sqrt(len(rest) * max(len(rest) - 1, 1))


def _wilson_interval(value: float, variance: float, z: float) -> tuple[float, float]:
    """Return Wilson's interval for as many items as would give a share this variance."""
    widening = z * z * variance / (value * (1 - value))
    center = (value + widening / 2) / (1 + widening)
    half = math.sqrt(z * z * variance + widening**2 / 4) / (1 + widening)
    return center - half, center + half


def _method(told: int, labels: int) -> str:
    if labels == 1:
        return "DeLong's variance, Wilson's interval"
    return f"mean over {told} of {labels} labels, DeLong's variance, Wilson's interval"
