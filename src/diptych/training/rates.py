"""The learning rate of a run, looked for where the recipe has none."""

import copy
from collections.abc import Callable
from itertools import count

import torch
from msgspec.structs import replace
from torch import nn

from diptych.training.feed import Feed
from diptych.training.objectives import Objective
from diptych.training.rate_finder import RANGES, STEPS, find_rate
from diptych.training.recipe import TrainingRecipe
from diptych.training.stepper import Stepper


def with_rate(
    network: nn.Module,
    recipe: TrainingRecipe,
    objective: Objective,
    feed: Feed,
    tell: Callable[[], None] = lambda: None,
) -> TrainingRecipe:
    """Fill in the learning rate, by some steps of a copy of the network.

    Args:
        network: About to be trained; it stays as it is, and so does torch's generator.
        recipe: Without a rate, or with one, which is then kept.
        objective: The loss.
        feed: The run's batches.
        tell: Called after each step.

    Returns:
        The recipe with a rate.
    """
    if recipe.learning_rate is not None:
        return recipe
    low, high = RANGES[recipe.optimizer]
    before = torch.get_rng_state()
    probed = replace(recipe, learning_rate=low, compiled=False)
    stepper = Stepper(copy.deepcopy(network).train(), probed, objective, feed.team)
    numbers = count()

    def step(rate: float) -> float:
        loss = stepper.take(feed.batch(next(numbers)), rate, recipe.momentum).item()
        tell()
        return feed.team.summed([loss])[0] / feed.team.size

    rate = find_rate(step, low, high, STEPS)
    torch.set_rng_state(before)
    return replace(recipe, learning_rate=rate)
