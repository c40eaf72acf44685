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
    """Compute, per item, what it adds to R2, such that their mean is R2 and so is its error.

    R2 is 1 less the mean squared error over the variance of the targets, and both vary with the
    items. So the score of an item is R2 less the part that its squared error has beyond its share
    of the variance: a linear R2, whose mean has the interval that R2 has.

    Args:
        outputs: float32 (N, 1).
        targets: float32 (N,).

    Returns:
        float64 (N,); where all targets are equal, 1 for a right answer and 0 for any other.
    """
    squares, spread = squared_errors(outputs, targets), _squared_distances(targets)
    variance = spread.mean()
    if not variance:
        return np.asarray(squares == 0, np.float64)
    missed = squares.mean() / variance
    return np.asarray((1 - missed) - (squares - missed * spread) / variance)


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
        1 at most, with its interval; where all targets are equal nothing is known.
    """
    if not np.ptp(targets):
        return unknown("undefined: all targets are equal")
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


def _squared_distances(targets: np.ndarray) -> np.ndarray:
    values = targets.astype(np.float64)
    return np.asarray((values - values.mean()) ** 2)
