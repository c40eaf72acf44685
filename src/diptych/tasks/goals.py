"""What each goal means: how good each item is, the metrics, and how an answer is written.

Shapes: N items, K outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diptych.core.values import Estimate
from diptych.tasks import classification, multi_label, ordinal, regression
from diptych.tasks.prediction import Prediction

Metric = Callable[[np.ndarray, np.ndarray], Estimate]
"""(outputs float32 (N, K), targets of a split) to an estimate."""
Answer = Callable[[Sequence[str], np.ndarray, Sequence[str]], list[Prediction]]
"""(names of N inputs, outputs float32 (N, K), K labels) to N predictions."""


@dataclass(frozen=True, kw_only=True)
class GoalKind:
    """A goal: the name of its main score, which is the mean of `item_scores` and a metric.

    `item_scores` is bool (N,) where an item is right or wrong, else float64 (N,); a `drop` is the
    loss of the main score. `metrics` begins with the main score.
    """

    score: str
    item_scores: Callable[[np.ndarray, np.ndarray], np.ndarray]
    metrics: Mapping[str, Metric]
    answer: Answer


UNITS = {
    "accuracy": "fraction",
    "f1": "fraction",
    "auroc": "fraction",
    "r2": "fraction",
    "mae": "target",
    "rmse": "target",
}
"""The unit of each metric; ``target`` is that of the values told."""
GOALS: dict[str, GoalKind] = {
    "classification": GoalKind(
        score="accuracy",
        item_scores=classification.right,
        metrics={
            "accuracy": classification.accuracy,
            "f1": classification.macro_f1,
            "auroc": classification.mean_auroc,
        },
        answer=classification.answer,
    ),
    "multi-label": GoalKind(
        score="f1",
        item_scores=multi_label.item_f1,
        metrics={
            "f1": multi_label.f1,
            "accuracy": multi_label.exact_match,
            "auroc": multi_label.mean_auroc,
        },
        answer=multi_label.answer,
    ),
    "ordinal": GoalKind(
        score="accuracy",
        item_scores=classification.right,
        metrics={
            "accuracy": classification.accuracy,
            "mae": ordinal.mae,
            "f1": classification.macro_f1,
        },
        answer=classification.answer,
    ),
    "regression": GoalKind(
        score="r2",
        item_scores=regression.item_scores,
        metrics={"r2": regression.r2, "rmse": regression.rmse, "mae": regression.mae},
        answer=regression.answer,
    ),
}
