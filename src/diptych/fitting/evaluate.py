"""Evaluation: how right a bundle is on labelled data, with intervals."""

from pathlib import Path

import numpy as np

from diptych.core.errors import DataError
from diptych.core.progress import Reporter, Step, silent
from diptych.core.text import nearest
from diptych.core.values import Dataset, Estimate, Split, Value
from diptych.data import read
from diptych.inference.bundle import Bundle, load
from diptych.measure.proportions import proportion
from diptych.tasks.classification import confusion_matrix

BATCH = 64


class ClassScore(Value):
    """One class: how many items it has, how many of them were found."""

    label: str
    n: int
    recall: Estimate | None
    precision: Estimate | None


class Evaluation(Value):
    """How right a bundle is; `confusion[i][j]` counts items of class i that were called j."""

    n: int
    accuracy: float
    low: float
    high: float
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    items: str


def evaluate(
    bundle: str | Path | Bundle,
    data: str | Path | Dataset,
    *,
    label: str | None = None,
    skip_unreadable: bool = False,
    report: Reporter = silent,
) -> Evaluation:
    """Score a bundle on labelled data.

    Args:
        bundle: The bundle, or its folder.
        data: A built-in name, a path, or data that was read before. Where it is what the bundle
            was made of, its test split is used; else its own test split, else every item.
        label: The label's column, for tables.
        skip_unreadable: Leave damaged items out and count them.
        report: Told how far it is.

    Returns:
        Accuracy with its interval, recall and precision per class, and the confusion matrix.
    """
    model = bundle if isinstance(bundle, Bundle) else load(bundle)
    dataset = data if isinstance(data, Dataset) else _read(model, data, label, skip_unreadable, report)
    split, items = _items(model, dataset)
    targets = _translate(split.targets, dataset.labels, model.labels)
    called = _predict(model, split.inputs, report)
    matrix = confusion_matrix(targets, called, len(model.labels))
    right = int(np.trace(matrix))
    score = proportion(right, len(targets))
    return Evaluation(
        n=score.n,
        accuracy=score.value,
        low=score.low,
        high=score.high,
        per_class=_class_scores(matrix, model.labels),
        confusion=tuple(tuple(int(x) for x in row) for row in matrix),
        items=items,
    )
