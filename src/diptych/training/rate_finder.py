"""The learning-rate range test: a few steps at ever higher rates say which rate to train at.

The loss first stays, then falls, and rises again once steps are too long. The rate that is picked
is a fraction of those at which the smoothed loss is about the least.

Source: L. Smith, "Cyclical learning rates for training neural networks", 2017. The fraction and
the smoothing were chosen on digits, clothes, questions and census rows with four optimizers, by
how much is lost against the best rate of a grid; the steepest descent and a fraction of the rate
where the loss explodes lost more.
"""

import math
from collections.abc import Callable
from itertools import accumulate
from statistics import geometric_mean

from diptych.core.errors import TrainingError

STEPS, LEAST_STEPS = 100, 40
"""What a test takes, and what it needs: smoothing is over three losses at least, which of fewer
than 40 are more of the range than it was chosen for."""
RANGES: dict[str, tuple[float, float]] = {
    "sgd": (1e-3, 10.0),
    "adamw": (1e-5, 0.3),
    "muon": (1e-5, 0.3),
    "schedule-free": (1e-5, 0.3),
}
"""The lowest and the highest rate that are tried, by optimizer."""
FRACTION = 0.4
ABOUT_LEAST = 0.05
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
    least, first = min(smoothed), smoothed[0]
    if least == first:
        raise TrainingError(
            f"no learning rate from {low:g} to {high:g} lowers the loss",
            "set learning_rate in the recipe",
        )
    bound = least + ABOUT_LEAST * (first - least)
    good = [rate for rate, loss in zip(rates, smoothed, strict=True) if loss <= bound]
    return max(low, FRACTION * geometric_mean(good))


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
        if not math.isfinite(loss) or loss > usual + (EXPLODED - 1) * abs(usual):
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
