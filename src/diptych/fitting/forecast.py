"""What score a network will end with, told from its first epochs.

Networks of one kind that learn the same by the same schedule lose their errors at about the same
pace. So the end of one that was trained to the end, times what the other's errors were of its
errors so far, is what the other will end with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from diptych.measure.proportions import normal_quantile

CONFIDENCE = 0.9
SPREAD = 0.2
"""Standard deviation of the logarithm of a forecast error, of a run that has only begun.

Six students on Fashion-MNIST forecast each other's errors to 14 % after a ninth of 18 epochs and to
5 % after a third and after two thirds (n 30 pairs), chance in 6,000 items included.
"""
LOOKED_AT = 2 / 3


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A score that is expected, 1 the best, and the interval that it will be in."""

    value: float
    low: float
    high: float


UNKNOWN = Forecast(value=0.0, low=0.0, high=1.0)


def forecast(scores: Sequence[float], reference: Sequence[float], items: int) -> Forecast:
    """Tell a network's final score.

    Args:
        scores: After each epoch so far, at least one.
        reference: After each epoch of another network that was trained to the end, in as many.
        items: On how many the scores were counted.

    Returns:
        The score, with an interval for `CONFIDENCE`; from 0 to 1 where a score is not below 0 or
        where the reference makes no errors.
    """
    least = 0.5 / items
    window = range(len(scores) - max(1, round(LOOKED_AT * len(scores))), len(scores))
    logs = [_log_error(scores[i], least) - _log_error(reference[i], least) for i in window]
    end = _log_error(reference[-1], least) + sum(logs) / len(logs)
    share = min(1.0, len(scores) / len(reference))
    chance = 2 / (items * math.exp(end))
    spread = math.hypot(SPREAD * (1 - share) ** 2, math.sqrt(chance))
    reach = normal_quantile(CONFIDENCE) * spread
    value, low, high = (1 - math.exp(end + shift) for shift in (0.0, reach, -reach))
    return Forecast(value=value, low=low, high=high)


def _log_error(score: float, least: float) -> float:
    """Return the logarithm of what a score lacks; no fewer items are wrong than half a one."""
    return math.log(max(least, 1 - score))
