from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from diptych.core.progress import StopRequest
from diptych.training.feed import Feed
from diptych.training.objectives import learn_labels
from diptych.training.rate_finder import RANGES, STEPS, find_rate
from diptych.training.rates import Bounds, with_rate
from diptych.training.recipe import TrainingRecipe
from diptych.training.stepper import Stepper
from diptych.training.team import Team

DRAW = np.random.default_rng(0)
ITEMS = DRAW.normal(size=(200, 5)).astype(np.float32)
TARGETS = torch.from_numpy((ITEMS[:, 0] > 0).astype(np.int64))
OBJECTIVE = learn_labels("classification", TARGETS, label_smoothing=0.0)
RECIPE = TrainingRecipe(learning_rate=None, batch_size=20)
PLENTY = Bounds(planned=10 * STEPS)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 2))


def feed() -> Feed:
    return Feed(ITEMS, RECIPE, 0, torch.device("cpu"))


def test_a_given_rate_is_kept() -> None:
    given = replace(RECIPE, learning_rate=0.3)
    assert with_rate(network(), given, OBJECTIVE, feed(), PLENTY) is given


@pytest.mark.parametrize("optimizer", RANGES)
def test_a_rate_is_found_that_learns_and_leaves_network_and_generator_alone(optimizer: str) -> None:
    recipe = replace(RECIPE, optimizer=optimizer)
    model = network()
    kept = [value.clone() for value in model.state_dict().values()]
    state = torch.get_rng_state()
    found = with_rate(model, recipe, OBJECTIVE, feed(), PLENTY)
    low, high = RANGES[optimizer]
    assert low < found.learning_rate < high
    assert found == replace(recipe, learning_rate=found.learning_rate)
    assert all(torch.equal(a, b) for a, b in zip(kept, model.state_dict().values(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert with_rate(network(), recipe, OBJECTIVE, feed(), PLENTY) == found


def test_where_steps_are_plenty_it_is_a_test_of_a_hundred() -> None:
    found = with_rate(network(), RECIPE, OBJECTIVE, feed(), PLENTY)
    low, high = RANGES["sgd"]
    stepper = Stepper(network().train(), replace(RECIPE, learning_rate=low), OBJECTIVE)
    batches, numbers = feed(), iter(range(STEPS))
    expected = find_rate(
        lambda rate: stepper.take(batches.batch(next(numbers)), rate, 0.9).item(), low, high, STEPS
    )
    assert found.learning_rate == expected


class Time:
    """A clock that goes by with each loss that is computed."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now, self.step_s = 100.0, step_s

    def __call__(self) -> float:
        return self.now

    def objective(self, inputs: Any, outputs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        self.now += self.step_s
        loss: torch.Tensor = OBJECTIVE(inputs, outputs, chosen)
        return loss


def searched(bounds: Bounds, time: Time) -> tuple[int, float | None]:
    """Look for a rate by a loss that never explodes; return the number of steps, and the rate."""
    torch.manual_seed(0)
    model, taken = nn.Sequential(nn.Linear(5, 2), nn.Tanh()), list[float]()
    tell = partial(taken.append, 1.0)
    found = with_rate(model, RECIPE, time.objective, feed(), bounds, tell)
    return len(taken), found.learning_rate


@pytest.mark.parametrize(
    ("planned", "steps"), [(10_000, 100), (1000, 100), (700, 70), (400, 40), (130, 40), (1, 40)]
)
def test_it_takes_a_tenth_of_the_planned_steps_but_as_many_as_tell_a_rate(
    planned: int, steps: int
) -> None:
    taken, rate = searched(Bounds(planned=planned), Time())
    assert taken == steps
    assert rate is not None


@pytest.mark.parametrize(("left_s", "steps"), [(1e5, 100), (1000.0, 50), (500.0, 40), (90.0, 40)])
def test_it_takes_a_tenth_of_the_time_that_is_left_but_as_many_steps_as_tell_a_rate(
    left_s: float, steps: int
) -> None:
    time = Time(step_s=2.0)
    taken, rate = searched(Bounds(planned=10_000, deadline=100.0 + left_s, clock=time), time)
    assert taken == steps
    assert rate is not None


def test_with_enough_time_it_finds_what_it_finds_without_a_limit() -> None:
    time = Time(step_s=2.0)
    late = Bounds(planned=10_000, deadline=1e9, clock=time)
    assert searched(late, time) == searched(Bounds(planned=10_000), Time())


def test_the_end_of_the_time_ends_the_search_without_a_rate() -> None:
    time = Time(step_s=2.0)
    bounds = Bounds(planned=10_000, deadline=150.0, clock=time)
    assert searched(bounds, time) == (25, None)
    assert searched(bounds, time) == (0, None)


def test_a_stop_ends_the_search_without_a_rate_and_leaves_the_generator_alone() -> None:
    stop, taken = StopRequest(), list[int]()

    def tell() -> None:
        taken.append(1)
        stop.requested = len(taken) == 3

    model, state = network(), torch.get_rng_state()
    bounds = Bounds(planned=10_000, stop=stop)
    assert with_rate(model, RECIPE, OBJECTIVE, feed(), bounds, tell) == RECIPE
    assert len(taken) == 3
    assert torch.equal(torch.get_rng_state(), state)


def test_a_team_searches_as_long_as_its_first_process_says() -> None:
    class Second(Team):
        told = iter([0, 60, *[0] * 20, 1])

        def agreed(self, number: int) -> int:
            return next(self.told)

    team = Second()
    batches = Feed(ITEMS, RECIPE, 0, torch.device("cpu"), team)
    taken: list[int] = []
    bounds = Bounds(planned=10_000)
    found = with_rate(network(), RECIPE, OBJECTIVE, batches, bounds, lambda: taken.append(1))
    assert found.learning_rate is None
    assert len(taken) == 21
