"""Classification: from logits to probabilities and answers, and how good they are.

Shapes: N items, K classes.
"""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from diptych.core.values import Estimate
from diptych.measure import auroc, scores
from diptych.measure.means import mean, unknown
from diptych.tasks.prediction import Prediction


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


def answer(names: Sequence[str], outputs: np.ndarray, labels: Sequence[str]) -> list[Prediction]:
    """Turn logits into answers.

    Args:
        names: The inputs' names, N of them.
        outputs: float32 (N, K) logits.
        labels: The classes' names, K of them.

    Returns:
        One prediction for each input: the likeliest class, its probability, and all of them.
    """
    bests, rows = outputs.argmax(axis=1).tolist(), softmax(outputs).tolist()
    return [
        Prediction(
            input=name,
            label=labels[best],
            score=row[best],
            scores=dict(zip(labels, row, strict=True)),
        )
        for name, best, row in zip(names, bests, rows, strict=True)
    ]


def right(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Tell which items are predicted right.

    Args:
        outputs: float32 (N, K) logits.
        targets: int64 (N,) class numbers.

    Returns:
        bool (N,).
    """
    return np.asarray(outputs.argmax(axis=1) == targets)


def accuracy(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the share of items predicted right.

    Args:
        outputs: float32 (N, K) logits; N >= 1.
        targets: int64 (N,) class numbers.

    Returns:
        A share from 0 to 1 with its interval.
    """
    return scores.score(right(outputs, targets))


def macro_f1(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the F1 averaged over classes, those that are neither seen nor called left out.

    F1 is a function of counts; the interval is that of the mean of its linear part, item by item.

    Args:
        outputs: float32 (N, K) logits; N >= 1.
        targets: int64 (N,) class numbers.

    Returns:
        A share from 0 to 1 with its interval.
    """
    called = outputs.argmax(axis=1)
    items, calls, hits = tallies(called, targets, outputs.shape[1])
    sizes = items + calls
    known = np.count_nonzero(sizes)
    per_item = len(targets) / (known * np.maximum(sizes, 1))
    f1 = 2 * hits / np.maximum(sizes, 1)
    value = f1.sum() / known
    weighed = per_item * f1
    gained = 2 * per_item[targets] * (called == targets)
    samples = value + gained - weighed[targets] - weighed[called]
    estimate = mean(samples, span=2 * float(per_item[sizes > 0].max()))
    bounds = {name: getattr(estimate, name) for name in ("value", "low", "high")}
    return replace(estimate, **{name: min(1.0, max(0.0, end)) for name, end in bounds.items()})


def mean_auroc(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the area under the ROC curve: of the second of two classes, or the mean over all.

    Args:
        outputs: float32 (N, K) logits; N >= 1.
        targets: int64 (N,) class numbers.

    Returns:
        From 0 to 1 with its interval; of several classes each is told from the rest, and those
        without items, or without items of others, are left out.
    """
    if not np.isfinite(outputs).all():
        return unknown("undefined: an output is not finite")
    if outputs.shape[1] == 2:
        return auroc.auroc(outputs[:, 1:] - outputs[:, :1], (targets == 1)[:, None])
    return auroc.auroc(log_odds(outputs), targets[:, None] == np.arange(outputs.shape[1]))


def log_odds(logits: np.ndarray) -> np.ndarray:
    """Turn logits into the log-odds of each class against the rest.

    Args:
        logits: (N, K), any float.

    Returns:
        float64 (N, K): in the order of the probabilities, and apart where these round to 1.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    rest = powers.sum(axis=1, keepdims=True) - powers
    rows, best = np.arange(len(powers)), powers.argmax(axis=1)
    powers[rows, best] = 0.0
    rest[rows, best] = powers.sum(axis=1)
    return np.asarray(shifted - np.log(np.maximum(rest, np.finfo(np.float64).tiny)))


def tallies(
    predictions: np.ndarray, targets: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the items, the calls and the hits of each class, without the matrix of all pairs.

    Args:
        predictions: (N,) class numbers below K.
        targets: (N,) class numbers below K.
        num_classes: K.

    Returns:
        int64 (K,) each: how many items are of a class, are called so, and both.
    """
    items, calls, hits = (
        np.bincount(numbers, minlength=num_classes)
        for numbers in (targets, predictions, targets[predictions == targets])
    )
    return items, calls, hits


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


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    share = np.full(len(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
