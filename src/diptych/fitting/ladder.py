"""Which of many students is worth training to the end: up the ladder from the cheapest.

Each is trained for a ninth, a third and two thirds of its epochs, and given up as soon as it surely
will not be good enough; the first that is wins. A run that pauses goes on where it was, so nothing
of the winner's training is lost.

Halving, which keeps the best third at each rung, asks who is best; here all that are good enough
are equal, and the cheapest of them wins.

Source: T. Domhan, J. Springenberg and F. Hutter, "Speeding up automatic hyperparameter optimization
of deep neural networks by extrapolation of learning curves", 2015: giving runs up by their expected
end. L. Li et al., "Hyperband", 2018: rungs at powers of 3.
"""

from collections.abc import Callable, Iterator, Sequence

from diptych.fitting.forecast import Forecast
from diptych.fitting.recipe import ModelPlan

RUNGS = (1 / 9, 1 / 3, 2 / 3)
"""The shares of a training after which it is asked what will become of it."""


def climb(
    plans: Sequence[ModelPlan], needed: float, look: Callable[[ModelPlan, float], Forecast]
) -> Iterator[ModelPlan]:
    """Find those that are worth training to the end, until one is good enough.

    Args:
        plans: The costliest first.
        needed: The final score that is enough.
        look: Trains a plan up to a share of its epochs, and says what to expect.

    Yields:
        The cheapest first: who has got far and may still reach what is needed.
    """
    for plan in reversed(plans):
        if all(look(plan, rung).high >= needed for rung in RUNGS):
            yield plan


def within(plans: Sequence[ModelPlan], seconds: float, each_s: float) -> tuple[ModelPlan, ...]:
    """Choose as many as there is time to look at, with time to train one to the end.

    Args:
        plans: The costliest first.
        seconds: The time.
        each_s: What a whole training takes.

    Returns:
        As many as that from all over the plans.
    """
    counts = range(1, len(plans) + 1)
    count = max((n for n in counts if least_trainings(n) * each_s <= seconds), default=0)
    return tuple(plans[(2 * i + 1) * len(plans) // (2 * count)] for i in range(count))


def least_trainings(count: int) -> float:
    """Say how much training it takes to find the costliest, if the others are hopeless.

    Args:
        count: How many there are.

    Returns:
        In whole trainings: a first look at each, and one that is trained to the end.
    """
    return (count - 1) * RUNGS[0] + 1
