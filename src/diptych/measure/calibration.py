"""Calibration: how far stated probabilities are from how often they come true.

The items are put into bins of as many items each, by their probability. The calibration error is
the mean over items of |share that came true - mean probability| in the item's bin. As the gap of a
bin is never below 0, chance alone makes an error: the estimate is too high, by nothing where all
gaps are wide and by `floor` where there is none, which is what a calibrated model would show on as
many items. The interval allows for both: it holds the error of these bins, at least as often as it
says; as in Wilson's, a few more surprises than were seen are allowed for, since rare ones may have
been missed. What varies inside a bin is not seen, so more bins could show a larger error.

The temperature is what the logits would have to be divided by for the likelihood of the targets to
be greatest: above 1 where a model is too sure.

Shapes: M statements ("this is a bee, with probability 0.9"), N items, K outputs.

Source: C. Guo et al. 2017, "On Calibration of Modern Neural Networks" (error, temperature); A.
Kumar et al. 2019, "Verified Uncertainty Calibration" (bins of equal mass, the bias). The interval
is ours: the mean of |gap| is above |true gap| by what a true gap of 0 would show at most, and a sum
of |gaps| varies no more than the gaps do.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from diptych.core.values import Estimate
from diptych.measure.means import unknown
from diptych.measure.proportions import normal_quantile

MOST_BINS = 15
ITEMS_PER_BIN = 20
NEWTON_STEPS = 60
FARTHEST = 100.0
"""Of the logarithm of a temperature; whoever knows no more of it knows nothing."""
WIDEST = 100.0
METHOD = "bins of equal mass; interval with the bias of chance"


@dataclass(frozen=True, kw_only=True)
class CalibrationError:
    """The error with its interval, and what a calibrated model would show on as many items."""

    error: Estimate
    floor: float
    bins: int


def calibration_error(
    probabilities: np.ndarray,
    happened: np.ndarray,
    items: np.ndarray | None = None,
    confidence: float = 0.95,
) -> CalibrationError:
    """Estimate the expected calibration error.

    Args:
        probabilities: float (M,) from 0 to 1, finite; M >= 1.
        happened: bool (M,), whether each statement came true.
        items: int (M,), the item that a statement is about, from 0; by default each has its own.
            Statements about one item may hang together.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The error in bins of equal mass, at most 15 and of 20 statements or more where there are
        as many.
    """
    order = np.argsort(probabilities, kind="stable")
    num_bins = max(1, min(MOST_BINS, len(order) // ITEMS_PER_BIN))
    bins = np.empty(len(order), np.int64)
    bins[order] = np.arange(len(order)) * num_bins // len(order)
    about = np.arange(len(order)) if items is None else items
    sizes = np.bincount(bins, minlength=num_bins)
    gaps = np.bincount(bins, happened - probabilities, num_bins) / sizes
    rest = happened - probabilities - gaps[bins]
    spread = np.maximum(
        _clustered(rest, bins, about, num_bins),
        np.bincount(bins, probabilities * (1 - probabilities), num_bins),
    )
    errors, shares = np.sqrt(spread) / sizes, sizes / len(order)
    value = float(shares @ np.abs(gaps))
    floor = float(shares @ errors) * math.sqrt(2 / math.pi)
    z = normal_quantile(confidence)
    reach = z * math.sqrt(float(spread.sum()) + z * z / 4)
    estimate = Estimate(
        value=value,
        low=max(0.0, value - floor - reach / len(order)),
        high=min(1.0, value + (reach + z * z / 2) / len(order)),
        n=len(np.unique(about)),
        method=f"{num_bins} {METHOD}",
        confidence=confidence,
    )
    return CalibrationError(error=estimate, floor=floor, bins=num_bins)


def temperature_of_classes(
    logits: np.ndarray, targets: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Estimate the temperature that classes need.

    Args:
        logits: (N, K), finite.
        targets: int64 (N,) class numbers.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The temperature with a sandwich interval; nothing is known where none is best.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    wanted = np.take_along_axis(shifted, targets[:, None], axis=1)[:, 0]

    def derivatives(inverse: float) -> tuple[np.ndarray, np.ndarray]:
        powers = np.exp(inverse * shifted)
        shares = powers / powers.sum(axis=1, keepdims=True)
        middle = (shares * shifted).sum(axis=1)
        return middle - wanted, (shares * shifted**2).sum(axis=1) - middle**2

    return _temperature(derivatives, confidence)


def temperature_of_labels(
    logits: np.ndarray, targets: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Estimate the temperature that labels need which are told each on its own.

    Args:
        logits: (N, K), finite.
        targets: (N, K) of 0 and 1.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The temperature with a sandwich interval; nothing is known where none is best.
    """
    values = logits.astype(np.float64)

    def derivatives(inverse: float) -> tuple[np.ndarray, np.ndarray]:
        shares = 0.5 + 0.5 * np.tanh(0.5 * inverse * values)
        first = ((shares - targets) * values).sum(axis=1)
        return first, (shares * (1 - shares) * values**2).sum(axis=1)

    return _temperature(derivatives, confidence)


def _temperature(
    derivatives: Callable[[float], tuple[np.ndarray, np.ndarray]], confidence: float
) -> Estimate:
    """Find where the mean loss is least; it is convex in the inverse temperature."""
    low, high, inverse = 1 / WIDEST, WIDEST, 1.0
    if derivatives(low)[0].sum() >= 0:
        return unknown("undefined: without any trust in the model the loss is least")
    if derivatives(high)[0].sum() <= 0:
        return unknown("undefined: no wrong answer holds the trust in the model back")
    for _ in range(NEWTON_STEPS):
        slope, bend = (float(part.sum()) for part in derivatives(inverse))
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / bend if bend > 0 else 0.0
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - inverse) < 1e-9 * inverse:
            break
        inverse = following
    first, second = derivatives(inverse)
    bend = float(second.sum()) * inverse
    spread = normal_quantile(confidence) * math.sqrt(float(first @ first))
    if spread >= bend * FARTHEST:
        return unknown("undefined: the answers are too much alike to tell")
    reach = math.exp(spread / bend)
    return Estimate(
        value=1 / inverse,
        low=1 / inverse / reach,
        high=reach / inverse,
        n=len(first),
        method="least cross-entropy on these items, sandwich interval",
        confidence=confidence,
    )


def _clustered(rest: np.ndarray, bins: np.ndarray, items: np.ndarray, num_bins: int) -> np.ndarray:
    """Return for each bin the sum over items of the square of what the item adds, (bins,)."""
    cells, place = np.unique(items * num_bins + bins, return_inverse=True)
    sums = np.bincount(place.reshape(-1), rest)
    return np.bincount(cells % num_bins, sums**2, num_bins)
