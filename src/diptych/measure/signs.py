"""Sign tests: whether more items got worse than got better, by more than a coin would give.

Of the items about which two models differ, each is as likely lost as gained where neither model is
the better one: so the number lost is binomial (lost + gained, 1/2), whatever the items are like.

Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions",
Psychometrika 12, 1947, in its exact form; S. Holm, "A simple sequentially rejective multiple test
procedure", Scandinavian Journal of Statistics 6, 1979.
"""

import math

import numpy as np

from diptych.core.errors import ConfigError


def sign_test(lost: int, gained: int) -> float:
    """Test whether as many items were lost as gained.

    Args:
        lost: Items that only the first model got right, 0 or more.
        gained: Items that only the second model got right, 0 or more.

    Returns:
        The two-sided p-value of McNemar's exact test, from above 0 to 1.
    """
    return min(1.0, 2 * losing(max(lost, gained), min(lost, gained)))


def losing(lost: int, gained: int) -> float:
    """Test whether more items were lost than gained.

    Args:
        lost: Items that only the first model got right, 0 or more.
        gained: Items that only the second model got right, 0 or more.

    Returns:
        The one-sided p-value: the probability of at least so many lost, from 0 to 1.

    Raises:
        ConfigError: If a count is below 0.
    """
    if min(lost, gained) < 0:
        raise ConfigError(f"{lost} items lost and {gained} gained are no counts", "count items")
    n = lost + gained
    if lost <= gained:
        return 1.0 - _upper(n, gained + 1)
    return _upper(n, lost)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values for how many there are.

    Args:
        p_values: float (K,), one for each question.

    Returns:
        float64 (K,): each at most the level means that among all of them one false alarm or more
        is at most that likely, however they hang together.
    """
    order = np.argsort(p_values, kind="stable")
    steps = len(order) - np.arange(len(order))
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps * p_values[order]))
    return corrected


def _upper(n: int, least: int) -> float:
    """Return the probability of `least` heads or more in n tosses; least > n / 2."""
    counts = np.arange(least, n + 1)
    if not counts.size:
        return 0.0
    first = math.lgamma(n + 1) - math.lgamma(least + 1) - math.lgamma(n - least + 1)
    ratios = np.log((n - counts[:-1]) / (counts[:-1] + 1))
    logs = first - n * math.log(2) + np.concatenate([[0.0], np.cumsum(ratios)])
    return min(1.0, float(np.exp(logs).sum()))
