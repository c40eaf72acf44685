"""Which of many students is worth training to the end: successive halving.

All are trained for a part of their epochs, most are given up by what is expected of them, the rest
go on for a longer part. A run that pauses goes on where it was, so nothing of the winner's training
is lost.

Source: K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", 2016.
"""

import math
from collections.abc import Callable, Sequence

from diptych.fitting.forecast import Forecast
from diptych.fitting.recipe import ModelPlan

FACTOR = 3
RUNGS = (1 / FACTOR**2, 1 / FACTOR)
"""The shares of a training after which it is decided who goes on."""


def halve(
    plans: Sequence[ModelPlan], needed: float, look: Callable[[ModelPlan, float], Forecast]
) -> tuple[ModelPlan, ...]:
    """Find those that are worth training to the end.

    Args:
        plans: The costliest first.
        needed: The final score that is enough.
        look: Trains a plan up to a share of its epochs, and says what to expect.

    Returns:
        Those that may reach what is needed, the cheapest first; a ninth of `plans`, or one.
    """
    left = tuple(plans)
    for rung in RUNGS:
        kept = promising([look(plan, rung) for plan in left], needed)
        left = tuple(left[i] for i in kept)
    return left[::-1]


def promising(forecasts: Sequence[Forecast], needed: float) -> list[int]:
    """Choose who goes on.

    Args:
        forecasts: The costliest first.
        needed: The final score that is enough.

    Returns:
        A third of the indices at most, or one, in order: none that will surely not reach it, none
        that costs more than another that surely will; the cheapest of those that are expected to
        reach it before the best of the others.
    """
    able = [i for i, f in enumerate(forecasts) if f.high >= needed]
    enough = max((i for i in able if forecasts[i].low >= needed), default=0)
    able = [i for i in able if i >= enough]
    expected = [i for i in able if forecasts[i].value >= needed]
    others = sorted(set(able) - set(expected), key=lambda i: -forecasts[i].value)
    return sorted([*reversed(expected), *others][: math.ceil(len(forecasts) / FACTOR)])


def within(plans: Sequence[ModelPlan], seconds: float, each_s: float) -> tuple[ModelPlan, ...]:
    """Choose as many as there is time to look at, with time to train one to the end.

    Args:
        plans: The costliest first.
        seconds: The time.
        each_s: What a whole training takes.

    Returns:
        As many as that from all over the plans.
    """
    able = [
        count for count in range(1, len(plans) + 1) if whole_trainings(count) * each_s <= seconds
    ]
    count = max(able, default=0)
    return tuple(plans[(2 * i + 1) * len(plans) // (2 * count)] for i in range(count))


def whole_trainings(count: int) -> float:
    """Say how much training the search among so many takes.

    Args:
        count: How many, at least 1.

    Returns:
        In whole trainings, with one that is trained to the end.
    """
    spent, before, left = 0.0, 0.0, count
    for rung in RUNGS:
        spent, before, left = spent + left * (rung - before), rung, math.ceil(left / FACTOR)
    return spent + 1 - before
