import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, wilcoxon

from diptych.core.errors import ConfigError
from diptych.measure.quantiles import (
    interval_ranks,
    median_ratio,
    quantile,
    samples_for_bounds,
    samples_for_quantile,
)


def naive_ranks(n: int, q: float) -> tuple[int, int]:
    """Try every rank with scipy's binomial tails."""
    low = max((r for r in range(1, n + 1) if binom.cdf(r - 1, n, q) <= 0.025), default=0)
    high = min((r for r in range(1, n + 1) if binom.sf(r - 1, n, q) <= 0.025), default=n + 1)
    return low, high


def step_samples(n: int, share: float, limit: float) -> np.ndarray:
    """Make n samples, the given share of them within the limit."""
    within = math.floor(share * n + 1e-9)
    return np.concatenate([np.zeros(within), np.full(n - within, limit + 1)])


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [1, 2, 5, 6, 40, 367, 368, 369, 1000])
def test_the_ranks_are_those_of_the_exact_binomial(n: int, q: float) -> None:
    assert interval_ranks(n, q) == naive_ranks(n, q)


@given(st.integers(1, 3000), st.floats(0.01, 0.999), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_ranks_cover_at_least_what_was_asked(n: int, q: float, confidence: float) -> None:
    low, high = interval_ranks(n, q, confidence)
    covered = binom.cdf(high - 1, n, q) - binom.cdf(low - 1, n, q)
    assert covered >= confidence - 1e-9


@pytest.mark.parametrize("draw", ["exponential", "standard_normal", "standard_cauchy"])
def test_the_interval_covers_the_true_quantile_of_any_distribution(draw: str) -> None:
    truths = {
        "exponential": math.log(10),
        "standard_normal": 1.2815515655,
        "standard_cauchy": math.tan(math.pi * 0.4),
    }
    samples = getattr(np.random.default_rng(3), draw)(size=(1500, 200))
    low, high = interval_ranks(200, 0.9)
    ordered = np.sort(samples, axis=1)
    covered = (ordered[:, low - 1] <= truths[draw]) & (truths[draw] <= ordered[:, high - 1])
    assert 0.94 <= covered.mean() <= 0.985
    one = quantile(samples[0], 0.9)
    assert (one.low, one.high) == (ordered[0, low - 1], ordered[0, high - 1])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_the_value_is_numpys_inverted_distribution_and_inside_its_interval(
    samples: list[float], q: float
) -> None:
    ours = quantile(np.array(samples), q)
    assert ours.low <= ours.value <= ours.high
    share = np.mean(np.array(samples) <= ours.value)
    assert share >= q - 1e-9
    assert np.mean(np.array(samples) < ours.value) < q + 1e-9


def test_too_few_samples_give_an_infinite_bound_and_say_so() -> None:
    few = quantile(np.arange(367.0), 0.99)
    assert few.high == math.inf
    assert "367 samples are too few for an upper bound on p99" in few.method
    enough = quantile(np.arange(368.0), 0.99)
    assert enough.high == 367.0
    assert enough.method == "order statistics"
    assert samples_for_bounds(0.99) == 368


def test_too_few_samples_for_a_lower_bound_say_so() -> None:
    few = quantile(np.array([1.0, 2.0]), 0.5)
    assert few.low == -math.inf
    assert "lower bound on p50" in few.method


@pytest.mark.parametrize("samples", [[], [1.0, math.nan]])
def test_no_samples_and_not_a_number_are_refused(samples: list[float]) -> None:
    with pytest.raises(ConfigError, match="no quantile"):
        quantile(np.array(samples), 0.5)


@pytest.mark.parametrize("q", [0.0, 1.0, 99])
def test_a_quantile_outside_0_to_1_is_refused(q: float) -> None:
    with pytest.raises(ConfigError, match="quantile"):
        quantile(np.arange(3.0), q)


@pytest.mark.parametrize(("q", "limit"), [(0.5, 0.8), (0.99, 4.0), (0.99, 5.5), (0.9, 2.2)])
def test_about_the_samples_asked_for_decide_on_the_same_distribution(
    q: float, limit: float
) -> None:
    seen = np.random.default_rng(5).exponential(size=300)
    needed = samples_for_quantile(seen, q, limit)
    assert needed is not None
    share = float(np.mean(seen <= limit))
    decided = quantile(step_samples(needed, share, limit), q)
    assert decided.high <= limit or decided.low > limit
    undecided = quantile(step_samples(needed // 2, share, limit), q)
    assert undecided.low <= limit < undecided.high


def test_samples_all_within_the_limit_need_as_many_as_the_bound_does() -> None:
    assert samples_for_quantile(np.ones(50), 0.99, 2.0) == 368


def test_no_number_of_samples_decides_a_quantile_at_its_limit() -> None:
    assert samples_for_quantile(np.arange(100.0), 0.9, 89.0) is None


def test_a_near_tie_asks_for_very_many_samples_quickly() -> None:
    samples = np.concatenate([np.zeros(98_999), np.full(1001, 2.0)])
    needed = samples_for_quantile(samples, 0.99, 1.0)
    assert needed is not None
    assert needed > 1e8


def test_the_median_ratio_finds_a_known_ratio_despite_shared_drift() -> None:
    random = np.random.default_rng(2)
    drift = np.linspace(1, 5, 500)
    fast = drift * random.lognormal(0, 0.1, 500)
    slow = 3 * drift * random.lognormal(0, 0.1, 500)
    ours = median_ratio(slow, fast)
    assert ours.low < 3 < ours.high
    assert ours.high - ours.low < 0.2
    assert wilcoxon(np.log(slow / fast) - math.log(3)).pvalue > 0.05


@pytest.mark.parametrize("other", [np.ones(2), np.array([1.0, 0.0, 1.0]), np.array([1, -1, 1.0])])
def test_what_has_no_ratio_is_refused(other: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        median_ratio(np.ones(3), other)
