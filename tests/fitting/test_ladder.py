import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.fitting.forecast import LAG_LEFT, Forecast, forecast
from diptych.fitting.ladder import RUNGS, climb, least_trainings, within
from diptych.fitting.recipe import ModelPlan
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

ITEMS, EPOCHS = 10_000, 27
REFERENCE = 0.05


def plans(count: int) -> list[ModelPlan]:
    network = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
    return [
        ModelPlan(name=f"s{i}", network=network, training=TrainingRecipe()) for i in range(count)
    ]


class Trainings:
    """Students who catch up to known ends; counts the epochs that are trained."""

    def __init__(self, ends: Sequence[float], noise: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        shares = np.linspace(1 / EPOCHS, 1, EPOCHS)
        lags = np.log(np.array([REFERENCE, *ends]) / REFERENCE)[:, None]
        left = LAG_LEFT + (1 - LAG_LEFT) * shares
        every = REFERENCE * np.exp(lags / left) * 6 ** (1 - shares)
        jitter = np.exp(noise * (1 - shares) * draw.standard_normal(every.shape))
        self.reference, *self.curves = (1 - np.clip(every * jitter, 0, 0.95)).tolist()
        self.trained = [0] * len(ends)

    def look(self, plan: ModelPlan, share: float) -> Forecast:
        place, epochs = int(plan.name[1:]), math.ceil(share * EPOCHS)
        self.trained[place] = max(self.trained[place], epochs)
        return forecast(self.curves[place][:epochs], self.reference, ITEMS)

    def winner(self, needed: float) -> int | None:
        """Search, and train those that are found to the end until one passes."""
        for plan in climb(plans(len(self.curves)), needed, self.look):
            place = int(plan.name[1:])
            self.trained[place] = EPOCHS
            if self.curves[place][-1] >= needed:
                return place
        return None

    def best(self, needed: float) -> int | None:
        """Train all, and take the cheapest that passes."""
        able = [i for i, curve in enumerate(self.curves) if curve[-1] >= needed]
        return max(able, default=None)


LADDERS = st.lists(st.floats(0.0, 0.05), min_size=1, max_size=9).map(
    lambda steps: [REFERENCE + sum(steps[: i + 1]) for i in range(len(steps))]
)


@given(LADDERS, st.floats(0.88, 0.96))
def test_of_runs_that_can_be_foretold_the_winner_is_that_of_the_whole_grid(
    ends: list[float], needed: float
) -> None:
    runs = Trainings(ends, 0.0, 0)
    assert runs.winner(needed) == runs.best(needed)


def test_with_noise_the_winner_is_mostly_that_of_the_grid_at_half_of_its_price() -> None:
    ends = [REFERENCE * factor for factor in (1.04, 1.1, 1.25, 1.5, 1.9)]
    needed = 1 - REFERENCE * 1.15
    runs = [Trainings(ends, 0.1, seed) for seed in range(200)]
    found = [run.winner(needed) for run in runs]
    assert {run.best(needed) for run in runs} == {1}
    assert np.mean([place == 1 for place in found]) > 0.9
    price = np.mean([sum(run.trained) / (len(ends) * EPOCHS) for run in runs])
    assert price < 0.55


def sure(score: float, reach: float = 0.001) -> Forecast:
    return Forecast(value=score, low=score - reach, high=score + reach)


def test_who_surely_fails_is_given_up_and_leaves_its_turn_to_the_next() -> None:
    asked: list[tuple[str, float]] = []

    def look(plan: ModelPlan, share: float) -> Forecast:
        asked.append((plan.name, share))
        hopeless = {"s3": 0.0, "s2": 0.3}.get(plan.name, 1.0)
        return sure(0.5 if share > hopeless else 0.95)

    assert next(climb(plans(4), 0.9, look)).name == "s1"
    first, second, third = RUNGS
    tried = [("s3", first), ("s2", first), ("s2", second)]
    assert asked == [*tried, ("s1", first), ("s1", second), ("s1", third)]


def test_who_may_still_do_is_not_given_up() -> None:
    found = [plan.name for plan in climb(plans(2), 0.9, lambda *_: sure(0.85, 0.06))]
    assert found == ["s1", "s0"]
    assert not list(climb(plans(2), 0.9, lambda *_: sure(0.85, 0.04)))


def test_as_many_are_looked_at_as_there_is_time_for() -> None:
    six = plans(6)
    assert within(six, math.inf, 60.0) == tuple(six)
    assert within(six, 59.0, 60.0) == ()
    assert within(six, 60.0, 60.0) == (six[3],)
    assert least_trainings(1) == pytest.approx(1)
    for seconds in (70.0, 80.0, 90.0):
        found = within(six, seconds, 60.0)
        assert least_trainings(len(found)) * 60 <= seconds < least_trainings(len(found) + 1) * 60
        assert list(found) == sorted(set(found), key=six.index)
