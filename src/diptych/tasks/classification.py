"""Classification: from logits to probabilities, and how good and how honest they are.

Shapes: N items, K classes.
"""

import numpy as np

CALIBRATION_BINS = 15


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities.

    Args:
        logits: (N, K) or (K,), any float.

    Returns:
        The same shape, float64, each row summing to 1.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def accuracy(predictions: np.ndarray, targets: np.ndarray) -> float:
    """Compute the share of items predicted right.

    Args:
        predictions: (N,) class numbers; N >= 1.
        targets: (N,) class numbers.

    Returns:
        A share from 0 to 1.
    """
    return float(np.mean(predictions == targets))


def confusion(predictions: np.ndarray, targets: np.ndarray, num_classes: int) -> np.ndarray:
    """Count who is taken for whom.

    Args:
        predictions: (N,) class numbers below K.
        targets: (N,) class numbers below K.
        num_classes: K.

    Returns:
        int64 (K, K): row the true class, column the predicted one.
    """
    pairs = targets.astype(np.int64) * num_classes + predictions
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def recall(matrix: np.ndarray) -> np.ndarray:
    """Compute, per class, the share of its items that were found.

    Args:
        matrix: (K, K) from :func:`confusion`.

    Returns:
        (K,) shares; NaN for a class without items.
    """
    return _share(np.diagonal(matrix), matrix.sum(axis=1))


def precision(matrix: np.ndarray) -> np.ndarray:
    """Compute, per class, the share of what was called so that is so.

    Args:
        matrix: (K, K) from :func:`confusion`.

    Returns:
        (K,) shares; NaN for a class that was never predicted.
    """
    return _share(np.diagonal(matrix), matrix.sum(axis=0))


def calibration_error(
    probabilities: np.ndarray, targets: np.ndarray, num_bins: int = CALIBRATION_BINS
) -> float:
    """Compute the expected calibration error: how far confidence is from being right as often.

    Args:
        probabilities: (N, K) rows summing to 1; N >= 1.
        targets: (N,) class numbers.
        num_bins: Bins of equal width over the confidence of the predicted class.

    Returns:
        The mean over items of |accuracy - mean confidence| in the item's bin, from 0 to 1.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    bins = np.minimum((confidence * num_bins).astype(np.int64), num_bins - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(targets))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    share = np.full(len(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
