"""Shares with intervals: a proportion, and the drop between two models on the same items.

Both intervals invert a score test: the limit of the interval is the value at which the test
statistic reaches the normal quantile. With the shares held fixed that statistic grows with the
square root of n, which gives the number of samples that would decide.

Source: E. B. Wilson 1927 (one proportion); T. Tango, "Equivalence test and confidence interval
for the difference in proportions for the paired-sample design", Statistics in Medicine 17, 1998.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.values import Estimate

BISECTIONS = 60


def proportion(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Estimate a proportion with Wilson's score interval.

    Args:
        successes: How many of the items succeeded, from 0 to `n`.
        n: How many items there are, at least 1.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The share of successes with its interval.

    Raises:
        ConfigError: If `n` is below 1, `successes` is not in 0..n, or `confidence` not in (0, 1).
    """
    if n < 1 or not 0 <= successes <= n:
        raise ConfigError(f"{successes} successes of {n} is no proportion", "measure some items")
    z = normal_quantile(confidence)
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / (1 + z * z / n)
    return Estimate(
        value=share,
        low=0.0 if successes == 0 else max(0.0, center - half),
        high=1.0 if successes == n else min(1.0, center + half),
        n=n,
        method="Wilson score interval",
        confidence=confidence,
    )


def paired_drop(
    reference_correct: np.ndarray, candidate_correct: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Estimate how much accuracy a candidate loses against a reference on the same items.

    Args:
        reference_correct: bool (N,), whether the reference was right about each item.
        candidate_correct: bool (N,), the same for the candidate, in the same order.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        Accuracy of the reference minus accuracy of the candidate, with Tango's score interval.

    Raises:
        ConfigError: If the arrays differ in shape or are empty, or `confidence` is not in (0, 1).
    """
    lost, gained, n = discordant(reference_correct, candidate_correct)
    z = normal_quantile(confidence)
    drop = (lost - gained) / n

    def statistic(difference: float) -> float:
        return math.sqrt(n) * tango_statistic(lost / n, gained / n, difference)

    return Estimate(
        value=drop,
        low=-1.0 if statistic(-1.0) <= z else _crossing(statistic, z, -1.0, drop),
        high=1.0 if statistic(1.0) >= -z else _crossing(statistic, -z, drop, 1.0),
        n=n,
        method="Tango score interval, paired",
        confidence=confidence,
    )


def discordant(
    reference_correct: np.ndarray, candidate_correct: np.ndarray
) -> tuple[int, int, int]:
    """Count the items about which two models differ.

    Args:
        reference_correct: bool (N,), whether the reference was right about each item.
        candidate_correct: bool (N,), the same for the candidate, in the same order.

    Returns:
        Items only the reference got right, items only the candidate got right, and N.

    Raises:
        ConfigError: If the arrays are not of one length, or are empty.
    """
    reference = np.asarray(reference_correct, dtype=bool)
    candidate = np.asarray(candidate_correct, dtype=bool)
    if reference.ndim != 1 or reference.shape != candidate.shape or not reference.size:
        raise ConfigError(
            f"items of shapes {reference.shape} and {candidate.shape} cannot be paired",
            "give both models' answers on the same items, at least one",
        )
    lost = int(np.count_nonzero(reference & ~candidate))
    gained = int(np.count_nonzero(~reference & candidate))
    return lost, gained, reference.size


def tango_statistic(lost: float, gained: float, difference: float) -> float:
    """Compute Tango's score statistic for one item; n items give it times the root of n.

    Args:
        lost: Share of items that only the reference got right.
        gained: Share of items that only the candidate got right.
        difference: The drop to test, from -1 to 1.

    Returns:
        The statistic: positive where the drop seen is above `difference`.
    """
    linear = lost + gained + difference * (lost - gained - 2)
    root = linear * linear + 8 * gained * difference * (1 - difference)
    null_gained = (linear + math.sqrt(max(0.0, root))) / 4
    null_gained = min(max(null_gained, 0.0, -difference), (1 - difference) / 2)
    variance = 2 * null_gained + difference * (1 - difference)
    excess = lost - gained - difference
    if variance <= 0.0:
        return 0.0 if abs(excess) < 1e-12 else math.copysign(math.inf, excess)
    return excess / math.sqrt(variance)


def samples_for_proportion(
    successes: int, n: int, limit: float, confidence: float = 0.95
) -> int | None:
    """Say how many items would decide whether a proportion is on one side of a limit.

    Args:
        successes: Successes seen.
        n: Items seen, at least 1.
        limit: The limit, from 0 to 1.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The smallest number of items at which Wilson's interval leaves the limit out if the share
        stays as seen; None where the share equals the limit.
    """
    share = proportion(successes, n, confidence).value
    variance = limit * (1 - limit)
    if share == limit:
        return None
    return _needed(math.inf if variance <= 0 else (share - limit) / math.sqrt(variance), confidence)


def samples_for_drop(
    reference_correct: np.ndarray,
    candidate_correct: np.ndarray,
    limit: float,
    confidence: float = 0.95,
) -> int | None:
    """Say how many items would decide whether a drop is on one side of a limit.

    Args:
        reference_correct: bool (N,), whether the reference was right about each item seen.
        candidate_correct: bool (N,), the same for the candidate, in the same order.
        limit: The limit of the drop, from -1 to 1.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The smallest number of items at which Tango's interval leaves the limit out if the shares
        of items lost and gained stay as seen; None where the drop equals the limit.
    """
    lost, gained, n = discordant(reference_correct, candidate_correct)
    if math.isclose((lost - gained) / n, limit, rel_tol=1e-12, abs_tol=1e-15):
        return None
    return _needed(tango_statistic(lost / n, gained / n, limit), confidence)


def normal_quantile(confidence: float) -> float:
    """Give the number of standard errors that a two-sided interval reaches to each side.

    Args:
        confidence: Coverage, above 0 and below 1.

    Returns:
        Such as 1.96 for 0.95.

    Raises:
        ConfigError: If `confidence` is not in (0, 1).
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence {confidence} is not between 0 and 1", "0.95 is usual")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _needed(statistic_of_one: float, confidence: float) -> int:
    ratio = normal_quantile(confidence) / abs(statistic_of_one)
    return max(1, math.ceil(ratio * ratio * (1 - 1e-12)))


def _crossing(
    statistic: Callable[[float], float], level: float, left: float, right: float
) -> float:
    """Return where a falling statistic crosses a level, by bisection."""
    for _ in range(BISECTIONS):
        middle = (left + right) / 2
        if statistic(middle) > level:
            left = middle
        else:
            right = middle
    return (left + right) / 2
