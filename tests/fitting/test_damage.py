"""Damage: counted by loops over items, and by what a change of the answers must do to it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from diptych.core.damage import Damage
from diptych.fitting import damage
from diptych.fitting.damage import MOST_CLASSES, Answered, assess
from diptych.measure.proportions import paired_drop
from diptych.measure.quantiles import quantile

LABELS = ("ant", "bee", "cat")


def answered(goal, targets, reference, model, labels=LABELS) -> Answered:
    return Answered(
        goal=goal,
        labels=labels,
        names=("teacher", "student"),
        items=tuple(f"item {row}" for row in range(len(targets))),
        targets=np.asarray(targets),
        reference=np.asarray(reference, np.float32),
        model=np.asarray(model, np.float32),
    )


def classes(seed: int, n: int = 90) -> Answered:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, n)
    reference = rng.normal(size=(n, 3)) + 2 * np.eye(3)[targets]
    return answered("classification", targets, reference, reference + rng.normal(size=(n, 3)))


def label_sets(seed: int, n: int = 60) -> Answered:
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, 3)) < 0.4).astype(np.float32)
    reference = 3 * targets - 1.5 + rng.normal(size=(n, 3))
    return answered("multi-label", targets, reference, reference + rng.normal(size=(n, 3)))


@given(st.integers(0, 1000))
def test_classes_and_flips_are_those_of_a_loop_over_items(seed: int) -> None:
    given_ = classes(seed)
    found = assess(given_)
    before = [int(row.argmax()) for row in given_.reference]
    after = [int(row.argmax()) for row in given_.model]
    triples = list(zip(given_.targets.tolist(), before, after, strict=True))
    assert found.flips is not None
    assert found.flips.lost == sum(b == t != a for t, b, a in triples)
    assert found.flips.gained == sum(b != t == a for t, b, a in triples)
    assert found.flips.differing == sum(b != a for _, b, a in triples)
    assert found.num_classes == 3
    for row in found.classes:
        own = [t for t in triples if LABELS[t[0]] == row.label]
        assert (row.n, row.right) == (len(own), sum(b == t for t, b, _ in own))
        assert row.lost == sum(b == t != a for t, b, a in own)
        drop = paired_drop(
            np.array([b == t for t, b, _ in own]), np.array([a == t for t, _, a in own])
        )
        assert (row.loss, row.low, row.high) == pytest.approx((drop.value, drop.low, drop.high))
    assert sum(row.lost for row in found.classes) == found.flips.lost


@given(st.integers(0, 1000))
def test_of_several_labels_an_item_is_lost_where_more_of_them_are_wrong(seed: int) -> None:
    given_ = label_sets(seed)
    found = assess(given_)
    lost = gained = 0
    missed = dict.fromkeys(LABELS, 0)
    for wanted, first, second in zip(given_.targets, given_.reference, given_.model, strict=True):
        wrong = [sum((v >= 0) != (w > 0) for v, w in zip(out, wanted)) for out in (first, second)]  # noqa: B905
        lost, gained = lost + (wrong[1] > wrong[0]), gained + (wrong[1] < wrong[0])
        for label, w, b, a in zip(LABELS, wanted, first, second, strict=True):
            missed[label] += bool(w > 0 and b >= 0 > a)
    assert found.flips is not None
    assert (found.flips.lost, found.flips.gained) == (lost, gained)
    assert {row.label: row.lost for row in found.classes} == missed


@pytest.mark.parametrize("make", [classes, label_sets])
def test_the_same_answers_are_no_damage(make) -> None:
    one = make(0)
    found = assess(answered(one.goal, one.targets, one.reference, one.reference))
    assert found.flips is not None
    assert found.calibration is not None
    assert (found.flips.lost, found.flips.gained, found.flips.differing) == (0, 0, 0)
    assert found.flips.p_value == 1
    assert found.calibration.reference == found.calibration.model
    assert found.items == found.paying == ()


@pytest.mark.parametrize("make", [classes, label_sets])
def test_the_other_way_round_what_was_lost_is_gained(make) -> None:
    one = make(1)
    there = assess(one)
    back = assess(answered(one.goal, one.targets, one.model, one.reference))
    assert there.flips is not None
    assert back.flips is not None
    assert (there.flips.lost, there.flips.gained) == (back.flips.gained, back.flips.lost)
    assert there.flips.p_value == back.flips.p_value
    assert [row.loss for row in there.classes] == [-row.loss for row in back.classes]


def test_a_class_that_pays_for_all_is_named() -> None:
    targets = np.arange(300) % 3
    reference = 4 * np.eye(3)[targets]
    model = reference.copy()
    model[(targets == 1) & (np.arange(300) < 60), 1] = -4
    found = assess(answered("classification", targets, reference, model))
    assert [row.label for row in found.paying] == ["bee"]
    assert found.paying[0].p_value < 1e-4


def test_a_model_made_too_sure_needs_a_higher_temperature() -> None:
    one = classes(2, n=600)
    found = assess(answered(one.goal, one.targets, one.reference, 4 * one.reference)).calibration
    assert found is not None
    needed = found.reference.temperature.value
    assert found.model.temperature.value == pytest.approx(4 * needed, rel=1e-6)
    assert found.model.temperature.low > 1


@pytest.mark.parametrize("make", [classes, label_sets])
def test_of_very_many_outputs_some_items_tell_the_calibration(make, monkeypatch) -> None:
    one = make(6, n=100)
    monkeypatch.setattr(damage, "MOST_VALUES", 102)
    found = assess(one)
    assert found.flips is not None
    assert found.calibration is not None
    assert found.flips.n == 100
    assert found.calibration.model.error.n == found.calibration.model.temperature.n == 34
    third = answered(one.goal, *(part[::3] for part in (one.targets, one.reference, one.model)))
    assert assess(third).calibration == found.calibration


def test_of_very_many_classes_those_that_lost_most_are_kept() -> None:
    size = 3 * MOST_CLASSES
    targets = np.repeat(np.arange(size), 2)
    reference = np.eye(size)[targets]
    model = reference.copy()
    model[targets == size - 1] = np.eye(size)[0]
    labels = tuple(f"class {k}" for k in range(size))
    found = assess(answered("classification", targets, reference, model, labels))
    assert (len(found.classes), found.num_classes) == (MOST_CLASSES, size)
    assert found.classes[-1].label == labels[-1]
    assert len(json.encode(found)) < 40_000


def test_a_class_without_items_has_no_row() -> None:
    one = classes(3)
    few = answered("classification", np.zeros(90, np.int64), one.reference, one.model)
    assert [row.label for row in assess(few).classes] == ["ant"]


def test_steps_of_an_order_are_errors_too() -> None:
    targets = np.arange(60) % 3
    model = np.eye(3)[np.where(np.arange(60) < 12, 2 - targets, targets)]
    found = assess(answered("ordinal", targets, np.eye(3)[targets], model))
    assert found.errors is not None
    assert found.flips is not None
    assert (found.errors.grew, found.errors.shrank) == (found.flips.lost, 0) == (8, 0)
    assert found.errors.mean.value == pytest.approx(16 / 60)
    assert found.errors.quantiles == ()


def numbers(seed: int = 0, n: int = 800, worse: float = 0.5) -> Answered:
    rng = np.random.default_rng(seed)
    targets = rng.normal(100, 20, n).astype(np.float32)
    reference = targets[:, None] + rng.normal(0, 3, (n, 1))
    model = targets[:, None] + (1 + worse) * (reference - targets[:, None])
    return answered("regression", targets, reference, model, ("price",))


def test_numbers_have_errors_and_neither_flips_nor_classes() -> None:
    given_ = numbers()
    found = assess(given_)
    before = np.abs(given_.reference[:, 0] - given_.targets)
    assert (found.flips, found.classes, found.calibration) == (None, (), None)
    assert found.errors is not None
    assert found.errors.mean.value == pytest.approx(0.5 * before.mean(), rel=1e-4)
    assert found.errors.mean.low > 0
    assert found.errors.grew > 790
    assert [one.q for one in found.errors.quantiles] == [0.5, 0.9, 0.99]
    expected = quantile(before.astype(np.float64), 0.9)
    assert found.errors.quantiles[1].reference.value == pytest.approx(expected.value, rel=1e-5)
    assert found.errors.quantiles[1].model.value == pytest.approx(1.5 * expected.value, rel=1e-4)


def test_rounding_is_no_change_of_an_error() -> None:
    found = assess(numbers(worse=1e-6))
    assert found.errors is not None
    assert (found.errors.grew, found.errors.shrank, found.errors.p_value) == (0, 0, 1.0)
    assert found.items == ()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("make", [classes, label_sets, numbers])
def test_outputs_that_are_no_numbers_leave_a_report_that_can_be_written(make, bad: float) -> None:
    one = make(4)
    broken = one.model.copy()
    broken[3] = bad
    found = assess(answered(one.goal, one.targets, one.reference, broken, one.labels))
    assert found.calibration is None
    told = json.decode(json.encode(found))
    assert all(item["model"] is not None for item in told["items"])
    if found.errors is not None:
        assert (found.errors.quantiles, found.errors.mean.n) == ((), 0)


@pytest.mark.parametrize("make", [classes, label_sets, numbers])
def test_one_item_is_enough(make) -> None:
    one = make(5, n=1)
    assert isinstance(assess(one), Damage)
