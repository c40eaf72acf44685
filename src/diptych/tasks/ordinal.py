"""Classes with an order: how many steps an answer is off; the rest is as for classification.

Shapes: N items, K classes in order; targets are int64 (N,).
"""

import numpy as np

from diptych.core.values import Estimate
from diptych.measure.means import mean_error


def mae(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the mean absolute error in steps.

    Args:
        outputs: float32 (N, K) logits; the likeliest class is the answer.
        targets: int64 (N,) class numbers.

    Returns:
        The mean number of classes between answer and truth, with its interval.
    """
    return mean_error(np.abs(outputs.argmax(axis=1) - targets), span=outputs.shape[1] - 1)
