import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from diptych.core.errors import TrainingError
from diptych.training.optimizers import average_of, optimizer_of, set_rate
from diptych.training.rate_finder import FRACTION, LEAST_STEPS, RANGES, STEPS, find_rate
from diptych.training.recipe import TrainingRecipe
from diptych.training.schedule import rate_factor, schedule_for


@given(st.floats(-4, -0.5), st.floats(0.1, 5.0))
def test_the_rate_is_a_fraction_of_that_with_the_least_loss(power: float, steepness: float) -> None:
    def step(rate: float) -> float:
        return 1 + steepness * abs(math.log10(rate) - power)

    found = find_rate(step, 1e-5, 1.0, 200)
    assert found == pytest.approx(FRACTION * 10**power, rel=0.1)


def descent(curvatures: np.ndarray, random: np.random.Generator) -> Callable[[float], float]:
    """Noisy descent in a bowl, which grows without end above a rate of 2 / curvature."""
    place = 3 * random.normal(size=len(curvatures))

    def step(rate: float) -> float:
        nonlocal place
        loss = float(curvatures @ place**2 / 2)
        noise = random.normal(size=len(curvatures))
        place = place - rate * curvatures * (place + noise)
        return loss

    return step


@pytest.mark.parametrize("steps", [LEAST_STEPS, 150])
@given(st.floats(0.01, 100.0), st.integers(0, 1000))
def test_in_a_bowl_the_rate_is_below_where_descent_diverges_and_not_far(
    steps: int, largest: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    curvatures = largest * np.append(random.uniform(0.02, 1, 20), 1.0)
    limit = 2 / largest
    found = find_rate(descent(curvatures, random), limit / 1e4, limit * 100, steps)
    assert limit / 30 < found < limit


def test_the_test_ends_where_the_loss_explodes() -> None:
    tried: list[float] = []

    def step(rate: float) -> float:
        tried.append(rate)
        return 1.0 - rate if rate < 0.1 else 50.0

    assert find_rate(step, 1e-4, 10.0, 100) == pytest.approx(FRACTION * 0.1, rel=0.5)
    assert sum(rate >= 0.1 for rate in tried) == 1
    assert tried == sorted(tried)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_test(loss: float) -> None:
    found = find_rate(lambda rate: 1.0 - rate if rate < 0.1 else loss, 1e-4, 10.0, 100)
    assert found < 0.1
    with pytest.raises(TrainingError, match=f"the loss of the first batch is {loss}"):
        find_rate(lambda rate: loss, 1e-4, 10.0, 100)


def test_a_loss_below_zero_is_no_explosion() -> None:
    found = find_rate(lambda rate: -1.0 - rate if rate < 0.1 else 9.0, 1e-4, 10.0, 100)
    assert 1e-4 < found < 0.1


def test_a_loss_that_only_rises_is_refused_with_what_to_do() -> None:
    with pytest.raises(TrainingError, match=r"no learning rate from 0\.0001 to 10 lowers") as error:
        find_rate(lambda rate: 1 + rate, 1e-4, 10.0, 100)
    assert "learning_rate" in error.value.hint


def spirals(count: int = 512) -> tuple[Tensor, Tensor]:
    """Points on three arms of a spiral, which no line tells apart."""
    generator = torch.Generator().manual_seed(0)
    arms = torch.arange(count) % 3
    radius = torch.rand(count, generator=generator)
    angle = 4 * radius + arms * 2 * math.pi / 3
    points = radius[:, None] * torch.stack([angle.sin(), angle.cos()], 1)
    return points + 0.02 * torch.randn(count, 2, generator=generator), arms


class Trial:
    """A network that learns the spirals."""

    def __init__(self, kind: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = nn.Sequential(
                nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)
            )
        recipe = TrainingRecipe(optimizer=kind, learning_rate=None)  # type: ignore[arg-type]
        self.optimizer = optimizer_of(self.network, recipe)
        self.average = average_of(self.network, self.optimizer, recipe)
        self.points, self.arms = spirals()
        self.generator = torch.Generator().manual_seed(0)

    def step(self, rate: float) -> float:
        set_rate(self.optimizer, rate, 0.9)
        chosen = torch.randint(0, len(self.arms), (64,), generator=self.generator)
        self.optimizer.zero_grad()
        loss = cross_entropy(self.network(self.points[chosen]), self.arms[chosen])
        loss.backward()
        self.optimizer.step()
        return loss.item()


def loss_after(kind: str, rate: float, steps: int = 300) -> float:
    trial = Trial(kind)
    for number in range(steps):
        factor = rate_factor(number / steps, 0.2, schedule_for(kind, "linear"))
        trial.step(rate * factor)
    trial.average.keep()
    return cross_entropy(trial.network(trial.points), trial.arms).item()


def found_for(kind: str) -> float:
    return find_rate(Trial(kind).step, *RANGES[kind], STEPS)


@pytest.mark.parametrize("kind", sorted(RANGES))
def test_the_same_steps_give_the_same_rate(kind: str) -> None:
    assert found_for(kind) == found_for(kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(RANGES))
def test_the_rate_is_nearly_as_good_as_the_best_of_a_grid(kind: str) -> None:
    found = found_for(kind)
    grid = {factor: loss_after(kind, found * 3.0**factor) for factor in range(-3, 4)}
    assert grid[0] < 0.2
    assert grid[0] < min(grid.values()) + 0.15, grid
