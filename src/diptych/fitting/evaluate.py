"""Evaluation: how right a bundle is on labelled data, with intervals."""

from pathlib import Path

import numpy as np

from diptych.core.errors import DataError
from diptych.core.progress import Reporter, Step, silent
from diptych.core.specs import Value
from diptych.core.text import nearest
from diptych.core.values import Dataset, Estimate, Split
from diptych.data import read
from diptych.inference.bundle import Bundle, load
from diptych.measure.proportions import proportion
from diptych.tasks.classification import confusion

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
    dataset = (
        data if isinstance(data, Dataset) else _read(model, data, label, skip_unreadable, report)
    )
    split, items = _items(model, dataset)
    targets = _translate(split.targets, dataset.labels, model.labels)
    called = _predict(model, split.inputs, report)
    matrix = confusion(targets, called, len(model.labels))
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


def _read(
    model: Bundle, data: str | Path, label: str | None, skip_unreadable: bool, report: Reporter
) -> Dataset:
    return read(
        data,
        seed=model.manifest.provenance.data.seed,
        target=label,
        spec=model.manifest.input,
        skip_unreadable=skip_unreadable,
        report=report,
    )


def _items(model: Bundle, dataset: Dataset) -> tuple[Split, str]:
    """Choose what may be scored: never what the bundle was trained on."""
    same = dataset.record.sha256 == model.manifest.provenance.data.sha256
    if same or "test" in dataset.record.given_splits:
        return dataset.test, "test split"
    parts = (dataset.train, dataset.validation, dataset.test)
    joined = Split(
        inputs=np.concatenate([part.inputs for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        items=tuple(item for part in parts for item in part.items),
    )
    return joined, "all items"


def _translate(targets: np.ndarray, theirs: tuple[str, ...], ours: tuple[str, ...]) -> np.ndarray:
    """Number the data's labels as the bundle does."""
    for name in theirs:
        if name not in ours:
            raise DataError(f"the bundle does not know the label {name!r}", nearest(name, ours))
    number: np.ndarray = np.array([ours.index(name) for name in theirs])[targets]
    return number


def _predict(model: Bundle, inputs: np.ndarray, report: Reporter) -> np.ndarray:
    parts = []
    for start in range(0, len(inputs), BATCH):
        parts.append(model.run(inputs[start : start + BATCH]).argmax(1))
        report(Step(stage="evaluate", done=start + len(parts[-1]), total=len(inputs)))
    return np.concatenate(parts)


def _class_scores(matrix: np.ndarray, labels: tuple[str, ...]) -> tuple[ClassScore, ...]:
    rows = []
    for k, name in enumerate(labels):
        found, has, called = int(matrix[k, k]), int(matrix[k].sum()), int(matrix[:, k].sum())
        rows.append(
            ClassScore(
                label=name,
                n=has,
                recall=proportion(found, has) if has else None,
                precision=proportion(found, called) if called else None,
            )
        )
    return tuple(rows)
