"""Quantiles with intervals that assume nothing about the distribution: order statistics.

The number of samples at or under the true q-quantile is binomial (n, q), whatever the samples are
like; so two of the sorted samples bound the quantile with an exact confidence. With few samples
the binomial has mass at its ends and there is no bound: it is infinite then, and `method` says so.
The samples are taken as independent; samples that come in bursts make the interval too narrow.

Source: David and Nagaraja, "Order Statistics", 3rd ed. 2003, section 7.1.
"""

import math

import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.values import Estimate
from diptych.measure.proportions import normal_quantile, samples_for_proportion

EXACT_UP_TO = 200_000
GROWTH = 1.02


def quantile(samples: np.ndarray, q: float, confidence: float = 0.95) -> Estimate:
    """Estimate a quantile with the interval between two of the sorted samples.

    Args:
        samples: float (N,), in any order and unit.
        q: Which quantile, above 0 and below 1; 0.99 for p99.
        confidence: Least coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The quantile of the samples (the smallest that q of them do not exceed) and its interval;
        a bound that N samples cannot give is infinite.

    Raises:
        ConfigError: If there is no sample, one is not a number, `q` is not in (0, 1) or
            `confidence` is not in (0, 1).
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64).ravel())
    if not ordered.size or np.isnan(ordered).any():
        raise ConfigError(f"no quantile of {ordered.size} samples or of NaN", "measure some calls")
    n = ordered.size
    low, high = interval_ranks(n, q, confidence)
    return Estimate(
        value=float(ordered[max(1, math.ceil(q * n - 1e-9)) - 1]),
        low=float(ordered[low - 1]) if low else -math.inf,
        high=float(ordered[high - 1]) if high <= n else math.inf,
        n=n,
        method=_method(n, q, low, high),
        confidence=confidence,
    )


def median_ratio(numerator: np.ndarray, denominator: np.ndarray) -> Estimate:
    """Estimate how many times larger one set of measurements is than another, pair by pair.

    Args:
        numerator: float (N,), positive.
        denominator: float (N,), positive, measured beside the first in the same order.

    Returns:
        The median of the N ratios with the interval of the sign test, at 95 %.

    Raises:
        ConfigError: If the arrays differ in shape or are empty, or a value is not positive.
    """
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    if top.ndim != 1 or top.shape != bottom.shape:
        raise ConfigError(f"{top.shape} and {bottom.shape} cannot be paired", "measure in pairs")
    if not (np.all(top > 0) and np.all(bottom > 0)):
        raise ConfigError("a ratio needs positive measurements", "drop what was not measured")
    return quantile(top / bottom, 0.5)


def interval_ranks(n: int, q: float, confidence: float = 0.95) -> tuple[int, int]:
    """Find which sorted samples bound a quantile.

    Args:
        n: Number of samples, at least 1.
        q: Which quantile, above 0 and below 1.
        confidence: Least coverage of the two-sided interval.

    Returns:
        Ranks from 1 of the lower and the upper bound; 0 and n + 1 where there is none.

    Raises:
        ConfigError: If `q` or `confidence` is not in (0, 1).
    """
    normal_quantile(confidence)
    if not 0 < q < 1:
        raise ConfigError(f"quantile {q} is not between 0 and 1", "0.99 is p99")
    tail = (1 - confidence) / 2 * (1 + 1e-9)
    at_most = np.cumsum(_binomial(n, q))
    at_least = np.cumsum(_binomial(n, 1 - q))
    low = int(np.searchsorted(at_most, tail, side="right"))
    high = n + 1 - int(np.searchsorted(at_least, tail, side="right"))
    return low, high


def samples_for_quantile(
    samples: np.ndarray, q: float, limit: float, confidence: float = 0.95
) -> int | None:
    """Say how many samples would decide whether a quantile is on one side of a limit.

    Args:
        samples: float (N,), seen so far.
        q: Which quantile, above 0 and below 1.
        limit: The limit, in the samples' unit.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        About how many samples make the interval leave the limit out if the share of samples at
        or under it stays as seen; None where that share is q.
    """
    within = int(np.count_nonzero(np.asarray(samples) <= limit))
    n = len(samples)
    estimate = samples_for_proportion(within, n, q, confidence)
    if estimate is None:
        return None
    share = within / n
    least = samples_for_bounds(q, confidence) if share > q else 1
    needed = max(least, round(0.6 * estimate))
    while needed < EXACT_UP_TO and not _decides(needed, share, q, confidence):
        needed = math.ceil(needed * GROWTH)
    return max(needed, estimate) if needed >= EXACT_UP_TO else needed


def samples_for_bounds(q: float, confidence: float = 0.95) -> int:
    """Say how many samples give a quantile an upper bound at all.

    Args:
        q: Which quantile, above 0 and below 1.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The smallest such number: 368 for p99 at 95 %.
    """
    return math.ceil(math.log((1 - confidence) / 2) / math.log(q))


def _decides(n: int, share: float, q: float, confidence: float) -> bool:
    """Return whether n samples and any more, `share` of them within the limit, decide.

    Ranks and counts are whole numbers, so that n can decide where a few more do not; one sample
    to spare prevents it.
    """
    low, high = interval_ranks(n, q, confidence)
    spare = 1 if 0 < share < 1 else 0
    if share > q:
        return high <= math.floor(share * n + 1e-9) - spare
    return math.ceil(share * n - 1e-9) + spare < low


def _binomial(n: int, q: float) -> np.ndarray:
    """Return the probability of each count, float (n + 1,)."""
    counts = np.arange(1, n + 1)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((n + 1 - counts) / counts))])
    every = np.arange(n + 1)
    logs = log_choose + every * math.log(q) + (n - every) * math.log1p(-q)
    return np.asarray(np.exp(logs), dtype=np.float64)


def _method(n: int, q: float, low: int, high: int) -> str:
    text = "order statistics"
    few = "1 sample is" if n == 1 else f"{n} samples are"
    if high > n:
        text += f"; {few} too few for an upper bound on p{100 * q:g}"
    if low < 1:
        text += f"; {few} too few for a lower bound on p{100 * q:g}"
    return text
