"""The learning-rate range test: a few steps at ever higher rates say which rate to train at.

The loss first stays, then falls, and rises again once steps are too long. The rate that is picked
is a fraction of the one at which the smoothed loss is least.

Source: L. Smith, "Cyclical learning rates for training neural networks", 2017. The fraction and
the smoothing were chosen on digits, clothes, questions and census rows with four optimizers, by
how much is lost against the best rate of a grid; the steepest descent and a fraction of the rate
where the loss explodes lost more.
"""

import math
from collections.abc import Callable
from itertools import accumulate

from diptych.core.errors import TrainingError

STEPS = 100
RANGES: dict[str, tuple[float, float]] = {
    "sgd": (1e-3, 10.0),
    "adamw": (1e-5, 1.0),
    "muon": (1e-5, 1.0),
    "schedule-free": (1e-5, 1.0),
}
"""The lowest and the highest rate that are tried, by optimizer."""
FRACTION = 1 / 3
SMOOTHED_SHARE = 0.06
EXPLODED, FIRST_STEPS = 4.0, 5


def find_rate(step: Callable[[float], float], low: float, high: float, steps: int) -> float:
    """Find the peak learning rate of a run.

    Args:
        step: Trains one step at a rate, of a network that is not needed afterwards, and gives the
            loss before that step.
        low: The first rate, above 0.
        high: The last one, above `low`; the test ends earlier where the loss explodes.
        steps: How many at most, at least 2.

    Returns:
        A rate from `low` to `high`.

    Raises:
        TrainingError: If the loss is not finite from the beginning, or never falls.
    """
    rates, losses = _measured(step, low, high, steps)
    smoothed = _smoothed(losses, max(1, round(SMOOTHED_SHARE * steps / 2)))
    best = min(range(len(smoothed)), key=smoothed.__getitem__)
    if best == 0:
        raise TrainingError(
            f"no learning rate from {low:g} to {high:g} lowers the loss",
            "set learning_rate in the recipe",
        )
    return max(low, FRACTION * rates[best])


def _measured(
    step: Callable[[float], float], low: float, high: float, steps: int
) -> tuple[list[float], list[float]]:
    """Take steps at rates of a geometric series until the loss explodes."""
    rates: list[float] = []
    losses: list[float] = []
    for number in range(steps):
        rate = low * (high / low) ** (number / (steps - 1))
        loss = step(rate)
        usual = max(losses[:FIRST_STEPS], default=math.inf)
        if not math.isfinite(loss) or loss > EXPLODED * usual:
            break
        rates.append(rate)
        losses.append(loss)
    if not losses:
        raise TrainingError(
            f"the loss of the first batch is {loss}", "look for such numbers in the data"
        )
    return rates, losses


def _smoothed(losses: list[float], reach: int) -> list[float]:
    """Return means over so many neighbours on both sides, fewer at the ends."""
    sums = [0.0, *accumulate(losses)]
    ends = [
        (max(0, place - reach), min(len(losses), place + reach + 1)) for place in range(len(losses))
    ]
    return [(sums[end] - sums[start]) / (end - start) for start, end in ends]
