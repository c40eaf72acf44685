"""Rates with exact intervals: how often something happens, from how often it was seen.

Counts are taken for Poisson ones. The limits are the rates at which so many or more, or so few or
fewer, would be seen with half of what the confidence leaves.

Source: F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28, 1936.
"""

import math

import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.values import Estimate

BISECTIONS = 80
METHOD = "exact Poisson interval (Garwood)"


def rate(count: int, exposure: float, confidence: float = 0.95) -> Estimate:
    """Estimate a rate.

    Args:
        count: How often it was seen, 0 or more.
        exposure: How long was looked, above 0; the rate is per unit of it.
        confidence: Least coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The rate with its interval; `n` is the count.

    Raises:
        ConfigError: If an argument is outside its range.
    """
    if count < 0 or not 0 < exposure < math.inf or not 0 < confidence < 1:
        raise ConfigError(
            f"no rate of {count} in {exposure:g} at a confidence of {confidence:g}",
            "look for some time",
        )
    tail = (1 - confidence) / 2
    low = _mean_at(count - 1, 1 - tail) if count else 0.0
    return Estimate(
        value=count / exposure,
        low=low / exposure,
        high=_mean_at(count, tail) / exposure,
        n=count,
        method=METHOD,
        confidence=confidence,
    )


def _mean_at(most: int, share: float) -> float:
    """Find the mean of a Poisson count that is `most` or fewer with this probability."""
    low, high = 0.0, most + 10.0
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
    counts = np.arange(most + 1)

    def at_most(mean: float) -> float:
        return float(np.exp(counts * math.log(mean) - mean - logs).sum())

    while at_most(high) > share:
        high *= 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(middle) > share else (low, middle)
    return (low + high) / 2
