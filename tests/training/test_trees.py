import dataclasses
import math

import numpy as np
import pytest

from diptych.core.errors import DataError
from diptych.core.progress import Step, StopRequest
from diptych.core.specs import CategoryColumn, ImageSpec, NumberColumn, TableSpec
from diptych.core.unlabelled import Unlabelled
from diptych.core.values import DataRecord, Dataset, Goal, Split
from diptych.training.control import RunControl
from diptych.training.trees import TreesConfig, train_trees

CONFIG = TreesConfig(trees=40, leaves=8, learning_rate=0.2, folds=3)
SPEC = TableSpec(
    columns=(
        NumberColumn(name="a"),
        NumberColumn(name="b"),
        CategoryColumn(name="w", values=("x", "y", "z")),
    )
)
RECORD = DataRecord(name="made", sha256="", counts={}, split_method="", seed=0)


def make(goal: Goal, labels: tuple[str, ...], targets_of: object, noise: float = 0.0) -> Dataset:
    random = np.random.default_rng(0)

    def split(count: int) -> Split:
        words = random.integers(0, 4, count)
        inputs = np.stack([random.normal(size=count), random.normal(size=count), words], 1)
        inputs = inputs.astype(np.float32)
        targets = targets_of(inputs + noise * random.normal(size=inputs.shape))
        inputs[random.random(count) < 0.1, 1] = np.nan
        return Split(inputs=inputs, targets=targets, items=("row",) * count)

    splits = {"train": split(600), "validation": split(200), "test": split(200)}
    return Dataset(goal=goal, spec=SPEC, labels=labels, record=RECORD, **splits)


def accuracy(outputs: np.ndarray, split: Split) -> float:
    return float((outputs.argmax(1) == split.targets).mean())


@pytest.mark.slow
@pytest.mark.parametrize("goal", ["classification", "ordinal"])
def test_trees_tell_classes_and_give_logits(goal: Goal) -> None:
    dataset = make(goal, ("p", "q", "r"), lambda x: (x[:, 0] > 0).astype(np.int64) + (x[:, 2] > 2))
    trained = train_trees(dataset, CONFIG, RunControl())
    assert trained.train.shape == (600, 3)
    assert trained.train.dtype == trained.test.dtype == np.float32
    for split in ("train", "validation", "test"):
        assert accuracy(getattr(trained, split), getattr(dataset, split)) > 0.95


@pytest.mark.slow
def test_logits_of_two_classes_are_probabilities_of_what_is_true() -> None:
    dataset = make(
        "classification", ("p", "q"), lambda x: (x[:, 0] > 0).astype(np.int64), noise=1.0
    )
    careful = TreesConfig(learning_rate=0.05, leaves=4, patience=3)
    outputs = train_trees(dataset, careful, RunControl()).train.astype(np.float64)
    probability = 1 / (1 + np.exp(outputs[:, 0] - outputs[:, 1]))
    sure = probability > 0.7
    assert dataset.train.targets[sure].mean() == pytest.approx(probability[sure].mean(), abs=0.08)


@pytest.mark.slow
def test_answers_on_the_training_split_come_from_trees_that_did_not_see_the_row() -> None:
    random = np.random.default_rng(1)
    dataset = make("classification", ("p", "q"), lambda x: random.integers(0, 2, len(x)))
    assert accuracy(train_trees(dataset, CONFIG, RunControl()).train, dataset.train) < 0.58


@pytest.mark.slow
def test_numbers_are_told_in_their_own_unit() -> None:
    dataset = make("regression", ("price",), lambda x: (1e5 + 1e4 * x[:, 0]).astype(np.float32))
    trained = train_trees(dataset, CONFIG, RunControl())
    error = np.abs(trained.test[:, 0] - dataset.test.targets).mean()
    assert trained.test.shape == (200, 1)
    assert error < 2e3


@pytest.mark.slow
def test_every_label_of_several_has_trees_of_its_own_also_one_that_all_have() -> None:
    def targets(x: np.ndarray) -> np.ndarray:
        return np.stack([x[:, 0] > 0, x[:, 2] > 1, x[:, 0] < 99], 1).astype(np.float32)

    dataset = make("multi-label", ("p", "q", "always"), targets)
    outputs = train_trees(dataset, CONFIG, RunControl()).test
    assert ((outputs > 0) == (dataset.test.targets > 0)).mean() > 0.97
    assert (outputs[:, 2] == 10).all()


@pytest.mark.slow
def test_a_class_that_a_fold_did_not_see_is_all_but_ruled_out_there() -> None:
    dataset = make("classification", ("p", "q", "rare"), lambda x: (x[:, 0] > 0).astype(np.int64))
    dataset.train.targets[0] = 2
    outputs = train_trees(dataset, CONFIG, RunControl()).train
    assert np.isfinite(outputs).all()
    assert outputs[0].argmax() != 2
    assert outputs[0, 2] <= outputs[0].min() + 1e-6


def guess(goal: Goal, targets_of: object, labels: tuple[str, ...], *, balance: bool) -> np.ndarray:
    """Grow next to nothing, so that trees answer as they would without having seen anything."""
    config = TreesConfig(trees=1, learning_rate=0.01, folds=2)
    dataset = make(goal, labels, targets_of)
    return train_trees(dataset, config, RunControl(), balance=balance).test.astype(np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("goal", ["classification", "ordinal"])
@pytest.mark.parametrize(("balance", "share"), [(False, 0.1), (True, 1 / 3)])
def test_where_nothing_can_be_seen_answers_are_shares_and_even_where_classes_are_balanced(
    goal: Goal, balance: bool, share: float
) -> None:
    def targets(x: np.ndarray) -> np.ndarray:
        return np.arange(len(x)) % 10 // 8 * (1 + np.arange(len(x)) % 2)

    outputs = guess(goal, targets, ("often", "rare", "rarer"), balance=balance)
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    assert shares[:, 1:].mean(axis=0) == pytest.approx([share, share], abs=0.05)


@pytest.mark.slow
def test_a_rare_class_is_found_more_often_where_classes_are_balanced() -> None:
    dataset = make("classification", ("p", "q"), lambda x: (x[:, 0] > 1).astype(np.int64), noise=1)
    rare = dataset.test.targets == 1
    found = [
        (train_trees(dataset, CONFIG, RunControl(), balance=balance).test[rare].argmax(1)).mean()
        for balance in (False, True)
    ]
    assert found[1] > found[0] + 0.1


@pytest.mark.slow
def test_balanced_trees_stop_where_validation_is_not_answered_better_class_by_class() -> None:
    """Few rows of validation look like the other class: balanced, they are more than half of it."""
    dataset = make("classification", ("p", "q"), lambda x: (x[:, 0] > 1.28).astype(np.int64))
    dataset.validation.inputs[:, 0] = -1
    dataset.validation.targets[:] = np.arange(200) % 20 < 3
    config = TreesConfig(trees=40, leaves=8, learning_rate=0.2, folds=3, patience=2)
    outputs = train_trees(dataset, config, RunControl(), balance=True).test
    assert np.abs(outputs[:, 1] - outputs[:, 0]).max() < 1.3


@pytest.mark.slow
@pytest.mark.parametrize(("balance", "shares"), [(False, (0.9, 0.1)), (True, (0.5, 0.5))])
def test_of_several_labels_having_one_counts_as_much_as_not_where_they_are_balanced(
    balance: bool, shares: tuple[float, float]
) -> None:
    def targets(x: np.ndarray) -> np.ndarray:
        rare = np.arange(len(x)) % 10 == 0
        return np.stack([~rare, rare], 1).astype(np.float32)

    outputs = guess("multi-label", targets, ("often", "rare"), balance=balance)
    assert (1 / (1 + np.exp(-outputs))).mean(axis=0) == pytest.approx(shares, abs=0.05)


@pytest.mark.slow
def test_where_there_are_no_classes_nothing_is_balanced() -> None:
    def targets(x: np.ndarray) -> np.ndarray:
        return (x[:, 0] > 1).astype(np.float32)

    plain, balanced = (guess("regression", targets, ("p",), balance=b) for b in (False, True))
    np.testing.assert_array_equal(plain, balanced)


@pytest.mark.slow
def test_the_seed_decides_and_progress_is_told() -> None:
    dataset = make(
        "classification", ("p", "q"), lambda x: (x[:, 0] > 0).astype(np.int64), noise=1.0
    )
    steps: list[Step] = []
    one = train_trees(dataset, CONFIG, RunControl(name="trees", report=steps.append))
    again = train_trees(dataset, CONFIG, RunControl(name="trees"))
    other = train_trees(dataset, CONFIG, RunControl(name="trees", seed=1))
    np.testing.assert_array_equal(one.train, again.train)
    assert not np.array_equal(one.train, other.train)
    assert [(step.done, step.total) for step in steps] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert one.seconds > 0
    assert not math.isnan(one.cpu_seconds)


def test_other_data_is_refused_and_a_stop_interrupts() -> None:
    dataset = make("classification", ("p", "q"), lambda x: (x[:, 0] > 0).astype(np.int64))
    with pytest.raises(KeyboardInterrupt):
        train_trees(dataset, CONFIG, RunControl(stop=StopRequest(requested=True)))
    pictures = Dataset(
        goal="classification",
        spec=ImageSpec(height=8, width=8, channels=1),
        labels=("p", "q"),
        train=dataset.train,
        validation=dataset.validation,
        test=dataset.test,
        record=RECORD,
    )
    with pytest.raises(DataError, match="trees grow on tables"):
        train_trees(pictures, CONFIG, RunControl())


@pytest.mark.slow
def test_little_time_grows_few_trees_in_every_fold() -> None:
    dataset = make(
        "classification", ("p", "q"), lambda x: (x[:, 0] > 0).astype(np.int64), noise=1.0
    )
    ticks = iter(range(100_000))

    def trees(seconds: float) -> int | None:
        start = next(ticks)
        control = RunControl(clock=lambda: float(next(ticks)), deadline=start + seconds)
        return train_trees(dataset, CONFIG, control).trees

    assert trees(1) == 30
    assert trees(1e6) == CONFIG.trees


@pytest.mark.slow
def test_rows_without_labels_are_answered_as_new_ones() -> None:
    dataset = make("classification", ("p", "q"), lambda x: (x[:, 0] > 0).astype(np.int64))
    joined = np.concatenate([dataset.train.inputs, dataset.test.inputs[:50]])
    more = Unlabelled(joined=joined, items=("row",) * 50)
    trained = train_trees(dataclasses.replace(dataset, unlabelled=more), CONFIG, RunControl())
    np.testing.assert_allclose(trained.unlabelled, trained.test[:50], rtol=1e-5)
    assert trained.lesson().shape == (650, 2)
    assert np.array_equal(trained.lesson()[:600], trained.train)
