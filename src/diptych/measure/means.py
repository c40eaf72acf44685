"""Means with intervals that allow for skewed samples: Hall's transformed t interval.

A few large errors among many small ones make a mean's usual t interval miss on the side of the
long tail. Hall's cubic transformation takes the skewness out of the t statistic; its inverse has
a closed form, so an interval costs three sums and no resampling. Samples that are all equal show
no spread at all: there the interval is as wide as Wilson's for a share of which nothing was seen.

Source: P. Hall, "On the removal of skewness by transformation", J. R. Statist. Soc. B 54, 1992;
Student's quantile by the expansion of Abramowitz and Stegun, 26.7.5.
"""

import math
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from diptych.core.values import Estimate
from diptych.measure.proportions import normal_quantile

LEAST_ITEMS = 5
MOST_ITEMS = 2**50
METHOD = "Hall's t interval, corrected for skewness"


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What an interval of a mean needs: mean, standard deviation, skewness, and the span.

    `span` is how far one more sample may lie from samples that are all equal.
    """

    mean: float
    deviation: float
    skewness: float
    span: float

    def interval(self, n: int, confidence: float) -> tuple[float, float]:
        """Give the interval that n samples with these moments have.

        Args:
            n: How many samples, at least 5.
            confidence: Coverage of the two-sided interval.

        Returns:
            Its two ends.
        """
        z = normal_quantile(confidence)
        if not self.deviation:
            reach = self.span * z * z / (n + z * z)
            return self.mean - reach, self.mean + reach
        t = student_quantile(z, n - 1)
        scale = self.deviation / math.sqrt(n)
        tilt = self.skewness / math.sqrt(n)
        return self.mean - scale * _untilt(t, tilt), self.mean - scale * _untilt(-t, tilt)


def mean(samples: np.ndarray, *, span: float = 1.0, confidence: float = 0.95) -> Estimate:
    """Estimate a mean.

    Args:
        samples: (N,) independent numbers.
        span: How far one more sample may lie from these, should they all be equal.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The mean with its interval; the interval is infinite below 5 samples, and nothing is known
        where a sample is not finite.
    """
    n = len(samples)
    if not n or not np.isfinite(samples).all():
        return unknown("undefined: a value is not finite" if n else "undefined: no items")
    seen = moments(samples, span)
    low, high, method = -math.inf, math.inf, f"mean; {n} items are too few for an interval"
    if n >= LEAST_ITEMS:
        low, high = seen.interval(n, confidence)
        method = METHOD if seen.deviation else "mean of equal values, Wilson's interval"
    return Estimate(value=seen.mean, low=low, high=high, n=n, method=method, confidence=confidence)


def mean_error(samples: np.ndarray, *, span: float = 1.0, confidence: float = 0.95) -> Estimate:
    """Estimate the mean of what cannot be negative.

    Args:
        samples: (N,) independent numbers, 0 or more.
        span: As for :func:`mean`.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The mean with its interval, which does not go below 0 except where nothing is known.
    """
    estimate = mean(samples, span=span, confidence=confidence)
    return replace(estimate, low=max(0.0, estimate.low)) if estimate.n else estimate


def samples_for_mean(
    samples: np.ndarray, limit: float, *, span: float = 1.0, confidence: float = 0.95
) -> int | None:
    """Say how many samples would decide whether a mean is on one side of a limit.

    Args:
        samples: (N,) seen so far.
        limit: The limit.
        span: As for :func:`mean`.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The smallest number at which the interval leaves the limit out if the moments stay as
        seen; None where the mean equals the limit, a sample is not finite or no number would do.
    """
    if not len(samples) or not np.isfinite(samples).all():
        return None
    seen = moments(samples, span)

    def decides(n: int) -> bool:
        low, high = seen.interval(n, confidence)
        return not low <= limit <= high

    if math.isclose(seen.mean, limit, rel_tol=1e-12, abs_tol=1e-15) or not decides(MOST_ITEMS):
        return None
    too_few, enough = LEAST_ITEMS - 1, MOST_ITEMS
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if decides(middle) else (middle, enough)
    return enough


def moments(samples: np.ndarray, span: float) -> Moments:
    """Compute the moments of samples.

    Args:
        samples: (N,) finite numbers, at least one.
        span: How far one more sample may lie from these, should they all be equal.

    Returns:
        Their moments; a spread that is no more than rounding counts as none.
    """
    values = np.asarray(samples, np.float64)
    center = float(values.mean())
    rest = values - center
    variance = float(rest @ rest) / max(len(values) - 1, 1)
    deviation = math.sqrt(variance)
    if deviation <= 1e-12 * abs(center):
        return Moments(mean=center, deviation=0.0, skewness=0.0, span=span)
    skewness = float(((rest / deviation) ** 3).mean())
    return Moments(mean=center, deviation=deviation, skewness=skewness, span=span)


def student_quantile(z: float, freedom: int) -> float:
    """Turn a normal quantile into Student's.

    Args:
        z: The normal quantile.
        freedom: Degrees of freedom, at least 4.

    Returns:
        Student's quantile, within 0.1 % for usual confidences.
    """
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))


def unknown(method: str) -> Estimate:
    """Say that nothing is known.

    Args:
        method: Why.

    Returns:
        An estimate of 0 from minus to plus infinity, of no items.
    """
    return Estimate(value=0.0, low=-math.inf, high=math.inf, n=0, method=method)


def _untilt(t: float, tilt: float) -> float:
    """Return the inverse of Hall's transformation of the t statistic."""
    if abs(tilt) < 1e-8:
        return t
    return 3 * (math.cbrt(1 + tilt * (t - tilt / 6)) - 1) / tilt
