"""The goals: what holds for each of them, on outputs and targets made at random."""

import math
from typing import Any

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.core.values import Goal
from diptych.measure.scores import score
from diptych.tasks.goals import GOALS, goal_kind
from diptych.tasks.own import Task

ALL: tuple[Goal, ...] = ("classification", "multi-label", "ordinal", "regression")


def made(goal: Goal, n: int = 200, error: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Make outputs and targets that agree but for some noise."""
    random = np.random.default_rng(0)
    if goal == "regression":
        targets = random.lognormal(size=n).astype(np.float32)
        noise = 0.3 * error * random.normal(size=n)
        return (targets + noise).astype(np.float32)[:, None], targets
    if goal == "multi-label":
        targets = (random.random((n, 4)) < 0.4).astype(np.float32)
        noise = error * random.normal(size=(n, 4))
        return (2 * targets - 1 + noise).astype(np.float32), targets
    numbers = random.integers(0, 4, n)
    noise = error * random.normal(size=(n, 4))
    return (2 * np.eye(4)[numbers] + noise).astype(np.float32), numbers


@pytest.mark.parametrize("goal", ALL)
def test_the_main_score_comes_first_and_is_the_mean_of_its_items(goal: Goal) -> None:
    kind, (outputs, targets) = GOALS[goal], made(goal)
    items = kind.item_scores(outputs, targets)
    assert next(iter(kind.metrics)) == kind.score
    main = kind.metrics[kind.score](outputs, targets)
    assert items.shape == (200,)
    assert main.value == pytest.approx(items.mean())
    assert main == score(items)


@pytest.mark.parametrize("goal", ALL)
def test_every_metric_has_an_interval_around_it(goal: Goal) -> None:
    outputs, targets = made(goal)
    for metric in GOALS[goal].metrics.values():
        ours = metric(outputs, targets)
        assert ours.low < ours.value < ours.high
        assert ours.n == 200
        assert ours.method


@pytest.mark.parametrize("goal", ALL)
def test_a_better_model_has_better_scores(goal: Goal) -> None:
    for name, metric in GOALS[goal].metrics.items():
        good, bad = (metric(*made(goal, error=error)).value for error in (0.6, 2.0))
        assert good < bad if name in {"mae", "rmse"} else good > bad


@pytest.mark.parametrize("goal", ALL)
@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("broken", [0.0, math.nan, math.inf])
def test_whatever_comes_out_no_estimate_is_nan(goal: Goal, n: int, broken: float) -> None:
    outputs, targets = made(goal, n)
    for given in (outputs, np.full_like(outputs, broken)):
        for metric in GOALS[goal].metrics.values():
            ours = metric(given, targets)
            assert not any(math.isnan(each) for each in (ours.value, ours.low, ours.high))
            assert ours.low <= ours.value <= ours.high


@pytest.mark.parametrize("goal", ALL)
def test_there_is_one_answer_for_each_input(goal: Goal) -> None:
    outputs, _ = made(goal)
    names = [f"item {number}" for number in range(200)]
    answers = GOALS[goal].answer(names, outputs, ("a", "b", "c", "d")[: outputs.shape[1]])
    assert [each.input for each in answers] == names


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda outputs, targets: outputs[:, 7], "IndexError"),
        (lambda outputs, targets: 0.5, r"ValueError: it gives \(\) for 3 items"),
        (lambda outputs, targets: outputs, r"ValueError: it gives \(3, 2\) for 3 items"),
    ],
)
def test_a_score_of_ones_own_that_fails_is_told_as_the_users(given: Any, said: str) -> None:
    task = Task(
        name="sums",
        shape=(2,),
        decode=np.array,
        network=lambda *given: None,
        score=("closeness", given),
    )
    kind = goal_kind("classification", task)
    with pytest.raises(ConfigError, match=f"score 'closeness' of task 'sums' raises {said}"):
        kind.item_scores(np.zeros((3, 2), np.float32), np.zeros(3, np.int64))
