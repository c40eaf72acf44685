"""What each goal means: how good each item is, the metrics, and how an answer is written.

Shapes: N items, K outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from diptych.core.values import Dataset, Estimate, Goal
from diptych.measure.scores import score
from diptych.tasks import classification, multi_label, ordinal, regression
from diptych.tasks.code import users_code
from diptych.tasks.own import Task, task_of
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


SCORE_HINT = "mend it; of outputs (N, K) and targets it gives how well each item was told (N,)"
UNITS = {
    "accuracy": "fraction",
    "f1": "fraction",
    "auroc": "fraction",
    "r2": "fraction",
    "mae": "target",
    "rmse": "target",
}
"""The unit of each metric; ``target`` is that of the values told."""
GOALS: dict[Goal, GoalKind] = {
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


def goal_kind(goal: Goal, own: Task | None = None) -> GoalKind:
    """Look up what a goal means.

    Args:
        goal: The goal.
        own: A user's own task, whose score comes first if it has one.

    Returns:
        The goal's scores and answer.
    """
    kind = GOALS[goal]
    if own is None or own.score is None:
        return kind
    name, given = own.score

    def item_scores(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        with users_code(f"score {name!r} of task {own.name!r}", SCORE_HINT):
            scores = np.asarray(given(outputs, targets))
            if scores.shape != (len(targets),):
                raise ValueError(f"it gives {scores.shape} for {len(targets)} items")
        return scores

    def main(outputs: np.ndarray, targets: np.ndarray) -> Estimate:
        return score(item_scores(outputs, targets))

    metrics = {name: main} | {key: kind.metrics[key] for key in kind.metrics if key != name}
    return replace(kind, score=name, item_scores=item_scores, metrics=metrics)


def kind_of(dataset: Dataset) -> GoalKind:
    """Look up what the goal of a data set means.

    Args:
        dataset: Any data set.

    Returns:
        The goal's scores and answer.
    """
    return goal_kind(dataset.goal, task_of(dataset))


def unit_of(name: str) -> str:
    """Give the unit of a score.

    Args:
        name: A metric's name, or that of a user's own score.

    Returns:
        ``fraction``, or ``target`` for the unit of the values told.
    """
    return UNITS.get(name, "fraction")
