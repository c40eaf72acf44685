"""Evaluation: how right a bundle is on labelled data, with intervals."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from diptych.core.errors import DataError
from diptych.core.progress import Reporter, Step, silent
from diptych.core.specs import Value
from diptych.core.text import nearest
from diptych.core.values import Dataset, Estimate, Split
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.streaming import StreamEvaluation, stream_evaluation
from diptych.inference.bundle import Bundle, load
from diptych.measure.proportions import proportion
from diptych.tasks.classification import confusion
from diptych.tasks.goals import goal_kind

BATCH = 64


class ClassScore(Value):
    """One class: how many items it has, how many of them were found."""

    label: str
    n: int
    recall: Estimate | None
    precision: Estimate | None


class Evaluation(Value):
    """How right a bundle is; `scores` begin with the main one, named `score`.

    `per_class` is there where there are classes; `confusion[i][j]` counts items of class i that
    were called j. `stream` is what a bundle of sounds hears when the items follow one another.
    """

    n: int
    score: str
    scores: dict[str, Estimate]
    items: str
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    stream: StreamEvaluation | None = None


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
        label: The label's column, for tables; by default that of the bundle's own data.
        skip_unreadable: Leave damaged items out and count them.
        report: Told how far it is.

    Returns:
        The scores with their intervals, recall and precision per class, and the confusion matrix.
    """
    model = bundle if isinstance(bundle, Bundle) else load(bundle)
    dataset = (
        data if isinstance(data, Dataset) else _read(model, data, label, skip_unreadable, report)
    )
    split, items = _items(model, dataset)
    targets = split.targets
    if model.manifest.goal != "regression":
        targets = _translate(targets, dataset.labels, model.labels)
    outputs = _run(model, split.inputs, report)
    matrix = _matrix(model, outputs, targets)
    metrics = goal_kind(model.manifest.goal, model.task).metrics
    return Evaluation(
        n=len(targets),
        score=model.manifest.score_name,
        scores={name: metric(outputs, targets) for name, metric in metrics.items()},
        items=items,
        per_class=() if matrix is None else _class_scores(matrix, model.labels),
        confusion=() if matrix is None else tuple(tuple(row) for row in matrix.tolist()),
        stream=stream_evaluation(model, replace(split, targets=targets), report=report),
    )


def _matrix(model: Bundle, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
    if model.manifest.goal not in {"classification", "ordinal"}:
        return None
    return confusion(outputs.argmax(1), targets, len(model.labels))


def _read(
    model: Bundle, data: str | Path, label: str | None, skip_unreadable: bool, report: Reporter
) -> Dataset:
    manifest = model.manifest
    options = Options(
        seed=manifest.provenance.data.seed,
        target=label or manifest.provenance.data.target,
        goal=manifest.goal,
        order=manifest.labels if manifest.goal == "ordinal" else None,
        spec=manifest.input,
        assets=model.assets(),
        skip_unreadable=skip_unreadable,
        task=model.task,
    )
    return read(data, options, report)


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
    numbers = np.array([ours.index(name) for name in theirs])
    if targets.ndim == 1:
        found: np.ndarray = numbers[targets]
        return found
    spread = np.zeros((len(targets), len(ours)), dtype=targets.dtype)
    spread[:, numbers] = targets
    return spread


def _run(model: Bundle, inputs: np.ndarray, report: Reporter) -> np.ndarray:
    parts = []
    for start in range(0, len(inputs), BATCH):
        parts.append(model.run(inputs[start : start + BATCH]))
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
