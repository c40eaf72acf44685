"""What score a network will end with, told from its first epochs.

Networks of one kind that learn the same by the same schedule lose their errors at about the same
pace, and who is behind catches up a part of it while rates fall. So the end of one that was trained
to the end, times a power of the ratio of their errors so far, is what the other will end with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

from diptych.measure.proportions import normal_quantile

CONFIDENCE = 0.9
LAG_LEFT = 0.5
"""What is left at the end of the logarithm of a ratio of errors that is seen when a run begins."""
SPREAD = 0.12
"""Standard deviation of the logarithm of a forecast error, of a run that has only begun, beside
chance. Both numbers by `benchmarks/compression/search.py`; docs/search.md has its errors.
"""
LOOKED_AT = 2 / 3
FEWEST = 2
"""Errors; scores with fewer are not told apart, for their ratio is chance."""


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
    least = FEWEST / items
    window = range(len(scores) - max(1, round(LOOKED_AT * len(scores))), len(scores))
    lags = [_log_error(scores[i], least) - _log_error(reference[i], least) for i in window]
    left = [LAG_LEFT + (1 - LAG_LEFT) * (i + 1) / len(reference) for i in window]
    end = _log_error(reference[-1], least) + sum(map(mul, left, lags)) / len(lags)
    share = min(1.0, len(scores) / len(reference))
    chance = 2 / (items * math.exp(end))
    spread = math.hypot(SPREAD * (1 - share), math.sqrt(chance))
    reach = normal_quantile(CONFIDENCE) * spread
    value, low, high = (1 - math.exp(end + shift) for shift in (0.0, reach, -reach))
    return Forecast(value=value, low=low, high=high)


def _log_error(score: float, least: float) -> float:
    """Return the logarithm of what a score lacks; no less than the least."""
    return math.log(max(least, 1 - score))
