"""Numbers: how far answers are from the truth, in the target's own unit and as a share.

Shapes: N items; outputs are float32 (N, 1), targets float32 (N,).
"""

import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from diptych.core.values import Estimate
from diptych.measure import scores
from diptych.measure.means import mean_error, unknown
from diptych.tasks.prediction import Prediction


def item_scores(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Compute, per item, what it adds to R2: their mean is R2 and has the interval that R2 has.

    R2 is 1 less the squared errors over the targets' squared distances from their mean, and both
    sums vary with the items. So the score of an item is its jackknife pseudo-value: N times R2
    less N - 1 times the R2 of the others, moved such that the mean is R2 itself.

    Args:
        outputs: float32 (N, 1).
        targets: float32 (N,).

    Returns:
        float64 (N,); where no R2 can be had for want of different targets, 1 for a right answer
        and 0 for any other; NaN for all where an output is not finite.
    """
    squares = squared_errors(outputs, targets)
    if not has_r2(targets):
        return np.asarray(squares == 0, np.float64)
    if not np.isfinite(squares).all():
        return np.full(len(targets), np.nan)
    total, left = _spread(targets)
    pseudo = (len(targets) - 1) * (squares.sum() - squares) / left
    return np.asarray(1 - squares.sum() / total + pseudo - pseudo.mean())


def has_r2(targets: np.ndarray) -> bool:
    """Tell whether R2 can be had, whichever item is left out.

    Args:
        targets: float32 (N,).

    Returns:
        Whether two targets differ even then.
    """
    total, left = _spread(targets)
    return bool(total > 0 and (left > 1e-12 * total).all())


def squared_errors(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Compute the squared error of each item.

    Args:
        outputs: float32 (N, 1).
        targets: float32 (N,).

    Returns:
        float64 (N,).
    """
    return np.asarray((outputs[:, 0].astype(np.float64) - targets) ** 2)


def r2(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the share of the targets' variance that the answers explain.

    Args:
        outputs: float32 (N, 1).
        targets: float32 (N,).

    Returns:
        1 at most, with its interval; where all targets but one are equal nothing is known.
    """
    if not has_r2(targets):
        return unknown("undefined: all targets are equal, or all but one")
    return scores.score(item_scores(outputs, targets))


def rmse(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the root of the mean squared error.

    Args:
        outputs: float32 (N, 1).
        targets: float32 (N,).

    Returns:
        In the target's unit; its interval is the root of the mean's.
    """
    square = mean_error(squared_errors(outputs, targets), span=float(np.ptp(targets)) ** 2)
    if not square.n:
        return square
    value, low, high = (math.sqrt(max(x, 0.0)) for x in (square.value, square.low, square.high))
    return replace(square, value=value, low=low, high=high, method=f"root of {square.method}")


def mae(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the mean absolute error.

    Args:
        outputs: float32 (N, 1).
        targets: float32 (N,).

    Returns:
        In the target's unit, with its interval.
    """
    errors = np.abs(outputs[:, 0].astype(np.float64) - targets)
    return mean_error(errors, span=float(np.ptp(targets)))


def answer(names: Sequence[str], outputs: np.ndarray, labels: Sequence[str]) -> list[Prediction]:
    """Turn outputs into answers.

    Args:
        names: The inputs' names, N of them.
        outputs: float32 (N, 1).
        labels: The target's name; not used.

    Returns:
        One prediction with a value for each input.
    """
    values = outputs[:, 0].tolist()
    return [Prediction(input=name, value=value) for name, value in zip(names, values, strict=True)]


def _spread(targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the sum of squared distances from the mean, and what each item leaves of it, (N,)."""
    values = targets.astype(np.float64)
    distances = (values - values.mean()) ** 2
    n, total = len(values), float(distances.sum())
    return total, total - distances * n / max(n - 1, 1)
