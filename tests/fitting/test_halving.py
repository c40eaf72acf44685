import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.fitting.forecast import UNKNOWN, Forecast, forecast
from diptych.fitting.halving import FACTOR, RUNGS, halve, promising, whole_trainings, within
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
    """Students whose errors fall to known ends; counts the epochs that are trained."""

    def __init__(self, ends: Sequence[float], noise: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        shares = np.linspace(1 / EPOCHS, 1, EPOCHS)
        every = np.array([REFERENCE, *ends])[:, None] * 6 ** (1 - shares)
        jitter = np.exp(noise * (1 - shares) * draw.standard_normal(every.shape))
        self.reference, *self.curves = (1 - np.clip(every * jitter, 0, 0.95)).tolist()
        self.trained = [0] * len(ends)

    def look(self, plan: ModelPlan, share: float) -> Forecast:
        place, epochs = int(plan.name[1:]), math.ceil(share * EPOCHS)
        self.trained[place] = max(self.trained[place], epochs)
        return forecast(self.curves[place][:epochs], self.reference, ITEMS)

    def winner(self, needed: float) -> int | None:
        """Search, and train those that are found to the end until one passes."""
        for plan in halve(plans(len(self.curves)), needed, self.look):
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


def test_with_noise_the_winner_is_mostly_that_of_the_grid_at_less_than_half_of_its_price() -> None:
    ends = [REFERENCE * factor for factor in (1.04, 1.1, 1.2, 1.4, 1.9)]
    needed = 1 - REFERENCE * 1.15
    runs = [Trainings(ends, 0.1, seed) for seed in range(200)]
    found = [run.winner(needed) for run in runs]
    assert np.mean([run.best(needed) == 1 for run in runs]) == 1.0
    assert np.mean([place == 1 for place in found]) > 0.9
    assert all(place is None or place <= 1 for place in found)
    price = np.mean([sum(run.trained) / (len(ends) * EPOCHS) for run in runs])
    assert price < 0.5


@given(LADDERS, st.integers(0, 5), st.floats(0.8, 1.0))
def test_what_is_found_costs_no_more_than_what_is_counted_on(
    ends: list[float], seed: int, needed: float
) -> None:
    runs = Trainings(ends, 0.3, seed)
    found = halve(plans(len(ends)), needed, runs.look)
    assert len(found) <= math.ceil(len(ends) / FACTOR ** len(RUNGS))
    looked = sum(runs.trained) / EPOCHS + 1 - RUNGS[-1]
    rounding = len(ends) * len(RUNGS) / EPOCHS
    assert looked <= whole_trainings(len(ends)) + rounding


def sure(score: float, reach: float = 0.001) -> Forecast:
    return Forecast(value=score, low=score - reach, high=score + reach)


def test_none_goes_on_that_surely_fails_or_costs_more_than_one_that_surely_passes() -> None:
    assert promising([sure(0.8), sure(0.7)], 0.9) == []
    assert promising([sure(0.99), sure(0.98), sure(0.95), sure(0.5)], 0.9) == [2]
    unsure = [sure(0.95, 0.2), sure(0.93, 0.2), sure(0.89, 0.2), sure(0.8, 0.2)]
    assert promising(unsure, 0.9) == [0, 1]
    assert promising([sure(0.85, 0.2), sure(0.89, 0.2), sure(0.8, 0.2)], 0.9) == [1]
    assert promising([UNKNOWN] * 4, 0.9) == [0, 1]


def test_as_many_are_looked_at_as_there_is_time_for() -> None:
    six = plans(6)
    assert within(six, math.inf, 60.0) == tuple(six)
    assert within(six, 59.0, 60.0) == ()
    assert within(six, 60.0, 60.0) == (six[3],)
    assert whole_trainings(1) == pytest.approx(1)
    for seconds in (75.0, 90.0, 110.0):
        found = within(six, seconds, 60.0)
        assert whole_trainings(len(found)) * 60 <= seconds < whole_trainings(len(found) + 1) * 60
        assert list(found) == sorted(set(found), key=six.index)
