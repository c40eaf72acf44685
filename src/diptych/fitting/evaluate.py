"""Evaluation: how right a bundle is on labelled data, with intervals."""

from pathlib import Path

import numpy as np

from diptych.core.damage import Damage
from diptych.core.progress import Reporter, silent
from diptych.core.specs import Value
from diptych.core.values import Dataset, Estimate
from diptych.fitting.answering import Answers, Reading, answer, pair
from diptych.fitting.damage import assess
from diptych.fitting.streaming import StreamEvaluation, stream_evaluation
from diptych.inference.bundle import Bundle, load
from diptych.measure.proportions import proportion
from diptych.tasks.classification import confusion, tallies
from diptych.tasks.goals import goal_kind

MOST_CONFUSED = 1_000
"""The most classes of which all pairs are counted: a million counts."""


class ClassScore(Value):
    """One class: how many items it has, how many of them were found."""

    label: str
    n: int
    recall: Estimate | None
    precision: Estimate | None


class Evaluation(Value):
    """How right a bundle is; `scores` begin with the main one, named `score`.

    `per_class` is there where there are classes; `confusion[i][j]` counts items of class i that
    were called j, and is empty where there are more than 1,000 classes. `stream` is what a bundle
    of sounds hears when the items follow one another. `damage` is what it lost: against the other
    bundle that was given, else against its teacher if that was recorded for the same items.
    """

    n: int
    score: str
    scores: dict[str, Estimate]
    items: str
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    stream: StreamEvaluation | None = None
    damage: Damage | None = None


def evaluate(
    bundle: str | Path | Bundle,
    data: str | Path | Dataset | Reading,
    *,
    against: str | Path | Bundle | None = None,
    label: str | None = None,
    skip_unreadable: bool = False,
    report: Reporter = silent,
) -> Evaluation:
    """Score a bundle on labelled data.

    Args:
        bundle: The bundle, or its folder.
        data: A built-in name, a path, or data that was read before. Where it is what the bundle
            was made of, its test split is used; else its own test split, else every item. A
            reading says all of what is below, but `against`, itself.
        against: Another bundle, or its folder, that answers the same items; the damage is told
            against it.
        label: The label's column, for tables; by default that of the bundle's own data.
        skip_unreadable: Leave damaged items out and count them.
        report: Told how far it is.

    Returns:
        The scores with their intervals, recall and precision per class, and the confusion matrix.
    """
    reading = (
        data
        if isinstance(data, Reading)
        else Reading(data=data, label=label, skip_unreadable=skip_unreadable, report=report)
    )
    model = bundle if isinstance(bundle, Bundle) else load(bundle)
    answers = answer(model, reading)
    outputs, targets = answers.outputs, answers.split.targets
    called = outputs.argmax(1) if model.manifest.goal in {"classification", "ordinal"} else None
    metrics = goal_kind(model.manifest.goal, model.task).metrics
    return Evaluation(
        n=len(targets),
        score=model.manifest.score_name,
        scores={name: metric(outputs, targets) for name, metric in metrics.items()},
        items=answers.items,
        per_class=() if called is None else class_scores(called, targets, model.labels),
        confusion=() if called is None else confused(called, targets, len(model.labels)),
        stream=stream_evaluation(model, answers.split, report=report),
        damage=_damage(model, answers, against, reading),
    )


def class_scores(
    called: np.ndarray, targets: np.ndarray, labels: tuple[str, ...]
) -> tuple[ClassScore, ...]:
    """Score each class on its own.

    Args:
        called: int64 (N,), the classes told.
        targets: int64 (N,), the true ones.
        labels: The classes' names, K of them.

    Returns:
        One for each class, in order.
    """
    columns = (each.tolist() for each in tallies(called, targets, len(labels)))
    return tuple(
        ClassScore(
            label=name,
            n=items,
            recall=proportion(hits, items) if items else None,
            precision=proportion(hits, calls) if calls else None,
        )
        for name, items, calls, hits in zip(labels, *columns, strict=True)
    )


def confused(
    called: np.ndarray, targets: np.ndarray, num_classes: int
) -> tuple[tuple[int, ...], ...]:
    """Count who is taken for whom.

    Args:
        called: int64 (N,), the classes told.
        targets: int64 (N,), the true ones.
        num_classes: K.

    Returns:
        K rows of K counts: row the true class; none where there are more classes than can be shown.
    """
    if num_classes > MOST_CONFUSED:
        return ()
    return tuple(tuple(row) for row in confusion(called, targets, num_classes).tolist())


def _damage(
    model: Bundle, answers: Answers, against: str | Path | Bundle | None, reading: Reading
) -> Damage | None:
    if against is not None:
        other = against if isinstance(against, Bundle) else load(against, task=model.task)
        return assess(pair(other, model, answers, reading))
    return model.manifest.damage if answers.own else None
