"""The learning rate of a run, looked for where the recipe has none."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import torch
from msgspec.structs import replace
from torch import nn

from diptych.core.progress import StopRequest
from diptych.training.feed import Feed
from diptych.training.objectives import Objective
from diptych.training.rate_finder import LEAST_STEPS, RANGES, STEPS, find_rate
from diptych.training.recipe import TrainingRecipe
from diptych.training.stepper import Stepper

SHARE = 0.1
"""Of the planned steps, and of the time that is left, that may go into the search."""


class EndedError(Exception):
    """The search was ended before it told a rate."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How long a rate is looked for: for a tenth of the `planned` steps and of the time left.

    It takes as many steps as tell a rate in any case; but a `stop`, or the `deadline` by the
    `clock`, ends it at once.
    """

    planned: int
    deadline: float | None = None
    clock: Callable[[], float] = time.monotonic
    stop: StopRequest = field(default_factory=StopRequest)

    def steps(self, began: float) -> int:
        """Say how many steps to take, once the first one was taken.

        Args:
            began: When that was, by the clock.

        Returns:
            At most 100, and at least 40.
        """
        most = min(float(STEPS), SHARE * self.planned)
        if self.deadline is not None:
            step_s = self.clock() - began
            affordable_s = SHARE * (self.deadline - began)
            most = min(most, affordable_s / step_s) if step_s > 0 else most
        return max(LEAST_STEPS, int(most))

    def are_over(self) -> bool:
        """Say whether to end the search at once.

        Returns:
            True where a person asked to stop, or the time is up.
        """
        late = self.deadline is not None and self.clock() >= self.deadline
        return bool(self.stop) or late


def with_rate(
    network: nn.Module,
    recipe: TrainingRecipe,
    objective: Objective,
    feed: Feed,
    bounds: Bounds,
    tell: Callable[[], None] = lambda: None,
) -> TrainingRecipe:
    """Fill in the learning rate, by some steps of a copy of the network.

    Args:
        network: About to be trained; it stays as it is, and so does torch's generator.
        recipe: Without a rate, or with one, which is then kept.
        objective: The loss.
        feed: The run's batches.
        bounds: How long to look for it.
        tell: Called after each step.

    Returns:
        The recipe with a rate; without one still where the search was ended.
    """
    if recipe.learning_rate is not None:
        return recipe
    before = torch.get_rng_state()
    probed = replace(recipe, learning_rate=RANGES[recipe.optimizer][0], compiled=False)
    stepper = Stepper(copy.deepcopy(network).train(), probed, objective, feed.team)
    try:
        return replace(recipe, learning_rate=_found(stepper, feed, bounds, tell))
    except EndedError:
        return recipe
    finally:
        torch.set_rng_state(before)


def _found(stepper: Stepper, feed: Feed, bounds: Bounds, tell: Callable[[], None]) -> float:
    """Return the rate; the first step, which is at the lowest one, says how many there will be."""
    numbers, team = count(), feed.team
    low, high = RANGES[stepper.recipe.optimizer]

    def step(rate: float) -> float:
        if team.agreed(int(bounds.are_over())):
            raise EndedError
        loss = stepper.take(feed.batch(next(numbers)), rate, stepper.recipe.momentum).item()
        tell()
        return team.summed([loss])[0] / team.size

    began = bounds.clock()
    first = [step(low)]
    steps = team.agreed(bounds.steps(began))
    return find_rate(lambda rate: first.pop() if first else step(rate), low, high, steps)
