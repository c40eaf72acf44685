"""Several labels per item: probabilities, answers, and how good they are.

Shapes: N items, K labels; targets are float32 (N, K) of 0 and 1.
"""

from collections.abc import Sequence

import numpy as np

from diptych.core.values import Estimate
from diptych.measure import auroc, scores
from diptych.tasks.prediction import Prediction


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities, each on its own.

    Args:
        logits: Any shape, any float.

    Returns:
        The same shape, float64, from 0 to 1.
    """
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64)))


def item_f1(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Compute, per item, the F1 of its labels.

    Args:
        outputs: float32 (N, K) logits; a label is given where its logit is 0 or more.
        targets: (N, K) of 0 and 1.

    Returns:
        float64 (N,) from 0 to 1; 1 where an item has no labels and is given none.
    """
    given, wanted = outputs >= 0, targets > 0
    both = np.count_nonzero(given & wanted, axis=1)
    all_in_all = np.count_nonzero(given, axis=1) + np.count_nonzero(wanted, axis=1)
    return np.where(all_in_all > 0, 2 * both / np.maximum(all_in_all, 1), 1.0)


def f1(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the F1 averaged over items.

    Args:
        outputs: float32 (N, K) logits.
        targets: (N, K) of 0 and 1.

    Returns:
        A share from 0 to 1 with its interval.
    """
    return scores.score(item_f1(outputs, targets))


def exact_match(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the share of items whose labels are all right, no more and no less.

    Args:
        outputs: float32 (N, K) logits.
        targets: (N, K) of 0 and 1.

    Returns:
        A share from 0 to 1 with its interval.
    """
    return scores.score(((outputs >= 0) == (targets > 0)).all(axis=1))


def mean_auroc(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
    """Estimate the area under the ROC curve, averaged over labels.

    Args:
        outputs: float32 (N, K) logits.
        targets: (N, K) of 0 and 1.

    Returns:
        From 0 to 1 with its interval, over the labels that some items have and some do not.
    """
    return auroc.auroc(outputs, targets > 0)


def answer(names: Sequence[str], outputs: np.ndarray, labels: Sequence[str]) -> list[Prediction]:
    """Turn logits into answers.

    Args:
        names: The inputs' names, N of them.
        outputs: float32 (N, K) logits.
        labels: The labels' names, K of them.

    Returns:
        One prediction for each input: the labels with a probability of 0.5 or more, and all.
    """
    rows, given = sigmoid(outputs).tolist(), (outputs >= 0).tolist()
    return [
        Prediction(
            input=name,
            scores=dict(zip(labels, row, strict=True)),
            labels=tuple([label for label, one in zip(labels, ones, strict=True) if one]),
        )
        for name, row, ones in zip(names, rows, given, strict=True)
    ]
