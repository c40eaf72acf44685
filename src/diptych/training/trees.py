"""Gradient-boosted trees on rows of a table: a baseline, and a teacher of networks.

What a network learns from are answers of trees that did not see the row: the training split is cut
into folds, and each fold is answered by trees grown on the others. On new rows the folds' trees
answer with their mean. Where time is short, the first fold finds out how many trees there is time
for.

Shapes: N rows, C columns, K outputs.

Source: scikit-learn's HistGradientBoosting, after G. Ke et al., "LightGBM", 2017.
"""

import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from diptych.core.errors import DataError
from diptych.core.extras import require
from diptych.core.progress import Step
from diptych.core.seeds import derive, generator
from diptych.core.specs import CategoryColumn, TableSpec, Value
from diptych.core.values import Dataset
from diptych.training.control import RunControl
from diptych.training.objectives import balancing_weights
from diptych.training.recorded import RecordedModel

MOST_WORDS = 254
FIRST_TREES, GROWTH = 10, 3
CERTAIN = 10.0
SEED_BITS = 31

Answers = Callable[[np.ndarray], np.ndarray]


class TreesConfig(Value, tag_field="name", tag="trees"):
    """How trees are grown.

    At most `trees` of `leaves` leaves, each added with `learning_rate`, until the validation split
    has not been answered better for `patience` trees; `folds` times.
    """

    trees: Annotated[int, Meta(ge=1, le=10_000)] = 600
    leaves: Annotated[int, Meta(ge=2, le=1024)] = 31
    learning_rate: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.05
    patience: Annotated[int, Meta(ge=1)] = 20
    folds: Annotated[int, Meta(ge=2, le=20)] = 5


def train_trees(
    dataset: Dataset,
    config: TreesConfig,
    control: RunControl,
    *,
    threads: int = 1,
    balance: bool = False,
) -> RecordedModel:
    """Grow trees.

    Args:
        dataset: Of a table; its `validation` split decides when to stop.
        config: How.
        control: The seed, the deadline, who is told how it goes, and whether to stop.
        threads: How many to compute with.
        balance: Whether each class counts as much as the others, and having a label as much as not
            having it, in growing and in stopping; without effect on numbers.

    Returns:
        Their outputs: logits, or values of a regression; those of the training split are from
        trees that did not see the row.

    Raises:
        DataError: If the data is no table, or has fewer rows than folds.
        KeyboardInterrupt: If a person asked to stop.
    """
    spec, train = dataset.spec, dataset.train
    if not isinstance(spec, TableSpec) or len(train) < config.folds:
        raise DataError("trees grow on tables with a row for each fold", "use a network")
    started, cpu_started = control.clock(), time.process_time()
    control, processors = control.counting()
    weights = (
        balancing_weights(dataset.goal, train.targets, len(dataset.labels)) if balance else None
    )
    folds = generator(control.seed, control.name, "folds").permutation(len(train)) % config.folds
    unseen = np.empty((len(train), len(dataset.labels)), np.float32)
    splits: dict[str, np.ndarray] = {
        "validation": dataset.validation.inputs,
        "test": dataset.test.inputs,
    }
    if dataset.unlabelled is not None:
        splits["unlabelled"] = dataset.unlabelled.inputs
    others = {name: np.zeros((), np.float64) for name in splits}
    with require("threadpoolctl", "train").threadpool_limits(threads):
        for fold in range(config.folds):
            if control.stop:
                raise KeyboardInterrupt
            control.report(Step(stage=control.name, done=fold, total=config.folds))
            seed = derive(control.seed, control.name, f"fold-{fold}")
            if fold == 0 and control.deadline is not None:
                config = _affordable(dataset, config, folds != fold, seed, control, weights)
            answers = _grow(dataset, config, folds != fold, seed, weights)
            unseen[folds == fold] = answers(train.inputs[folds == fold])
            for name, mean in others.items():
                others[name] = mean + answers(splits[name]) / config.folds
    control.report(Step(stage=control.name, done=config.folds, total=config.folds))
    return RecordedModel(
        train=unseen,
        validation=others["validation"].astype(np.float32),
        test=others["test"].astype(np.float32),
        unlabelled=others["unlabelled"].astype(np.float32) if "unlabelled" in others else None,
        seconds=control.clock() - started,
        cpu_seconds=time.process_time() - cpu_started,
        cpu_energy=processors.energy(),
        samples=len(train) * (config.folds - 1),
        trees=config.trees,
    )


def _affordable(
    dataset: Dataset,
    config: TreesConfig,
    rows: np.ndarray,
    seed: int,
    control: RunControl,
    weights: np.ndarray | None,
) -> TreesConfig:
    """Grow ever more trees until the next try would be too long for all folds."""
    trees = FIRST_TREES  # a try that is not judged: it loads libraries and fills caches
    while trees < config.trees:
        started = control.clock()
        _grow(dataset, replace(config, trees=trees), rows, seed, weights)
        now = control.clock()
        needed_s = GROWTH * (now - started) * (1 + config.folds)
        if trees > FIRST_TREES and now + needed_s > (control.deadline or 0.0):
            return replace(config, trees=trees)
        trees *= GROWTH
    return config


def _grow(
    dataset: Dataset,
    config: TreesConfig,
    rows: np.ndarray,
    seed: int,
    weights: np.ndarray | None,
) -> Answers:
    """Grow the trees of one fold; the function returned gives (N, K) for rows (N, C)."""
    if dataset.goal != "multi-label":
        return _grow_one(dataset, config, rows, seed, None, weights)

    def grown(label: int) -> Answers:
        own = None if weights is None else weights[:, label]
        return _grow_one(dataset, config, rows, seed, label, own)

    each = [grown(label) for label in range(len(dataset.labels))]
    return lambda inputs: np.concatenate([answers(inputs) for answers in each], axis=1)


def _grow_one(
    dataset: Dataset,
    config: TreesConfig,
    rows: np.ndarray,
    seed: int,
    label: int | None,
    weights: np.ndarray | None,
) -> Answers:
    targets = {name: getattr(dataset, name).targets for name in ("train", "validation")}
    if label is not None:
        targets = {name: (v[:, label] > 0).astype(np.int64) for name, v in targets.items()}
    learned = targets["train"][rows]
    if dataset.goal != "regression" and len(np.unique(learned)) < 2:
        return _constant(learned[0], dataset, label)
    ensemble = require("sklearn.ensemble", "train")
    kind = "Regressor" if dataset.goal == "regression" else "Classifier"
    known = np.isin(targets["validation"], np.unique(learned)) | (kind == "Regressor")
    trees = getattr(ensemble, f"HistGradientBoosting{kind}")(
        max_iter=config.trees,
        max_leaf_nodes=config.leaves,
        learning_rate=config.learning_rate,
        categorical_features=_categories(dataset.spec),
        early_stopping=bool(known.any()),
        n_iter_no_change=config.patience,
        random_state=seed % (1 << SEED_BITS),
    )
    judge = (dataset.validation.inputs[known], targets["validation"][known])
    judged = {"X_val": judge[0], "y_val": judge[1]} if known.any() else {}
    if weights is not None:
        judged |= {"sample_weight": weights[learned], "sample_weight_val": weights[judge[1]]}
    trees.fit(dataset.train.inputs[rows], learned, **judged)
    if kind == "Regressor":
        return lambda inputs: np.asarray(trees.predict(inputs))[:, None]
    outputs = 1 if label is not None else len(dataset.labels)
    return lambda inputs: _logits(trees, inputs, outputs)


def _categories(spec: Any) -> list[bool]:  # noqa: ANN401  a TableSpec
    return [
        isinstance(column, CategoryColumn) and len(column.values) <= MOST_WORDS
        for column in spec.columns
    ]


def _logits(trees: Any, inputs: np.ndarray, outputs: int) -> np.ndarray:  # noqa: ANN401
    """Return (N, K) logits; a class that was not seen is all but ruled out."""
    raw = np.asarray(trees.decision_function(inputs))
    if outputs == 1:
        return raw[:, None]
    if raw.ndim == 1:
        raw = np.stack([-raw / 2, raw / 2], axis=1)
    logits = np.repeat(raw.min(axis=1, keepdims=True) - CERTAIN, outputs, axis=1)
    logits[:, trees.classes_.astype(np.int64)] = raw
    return logits


def _constant(value: Any, dataset: Dataset, label: int | None) -> Answers:  # noqa: ANN401
    """Answer as the only class or truth value that there was."""
    if label is not None:
        logits = np.array([CERTAIN if value else -CERTAIN])
    else:
        logits = np.full(len(dataset.labels), -CERTAIN)
        logits[int(value)] = 0.0
    return lambda inputs: np.repeat(logits[None], len(inputs), axis=0)
