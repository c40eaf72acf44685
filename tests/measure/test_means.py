"""Means: against SciPy's Student and a search over Hall's statistic, and by simulated coverage."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from diptych.measure.means import (
    LEAST_ITEMS,
    mean,
    mean_error,
    moments,
    samples_for_mean,
    student_quantile,
    unknown,
)

SAMPLES = st.lists(st.floats(-1e3, 1e3), min_size=LEAST_ITEMS, max_size=60).map(np.array)


def coverage(draw: Callable[[np.random.Generator], np.ndarray], truth: float, times: int) -> float:
    """Simulate how often the interval holds the truth."""
    estimates = [mean(draw(np.random.default_rng(seed))) for seed in range(times)]
    return float(np.mean([each.low <= truth <= each.high for each in estimates]))


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("freedom", [4, 5, 9, 30, 1000])
def test_the_quantile_is_students(freedom: int, confidence: float) -> None:
    tail = 0.5 + confidence / 2
    ours = student_quantile(float(stats.norm.ppf(tail)), freedom)
    assert ours == pytest.approx(stats.t.ppf(tail, freedom), rel=0.005)


def test_without_skewness_the_interval_is_students() -> None:
    samples = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    ours = mean(samples)
    theirs = stats.t.interval(0.95, 6, loc=4, scale=stats.sem(samples))
    assert (ours.value, ours.n) == (4.0, 7)
    assert (ours.low, ours.high) == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("shape", [0.5, 1.0])
def test_the_ends_are_where_halls_statistic_reaches_students_quantile(shape: float) -> None:
    samples = np.random.default_rng(0).lognormal(0, shape, 40)
    seen, ours, n = moments(samples, 1.0), mean(samples), 40
    skewness = stats.skew(samples) * ((n - 1) / n) ** 1.5

    def statistic(truth: float) -> float:
        t = math.sqrt(n) * (seen.mean - truth) / samples.std(ddof=1)
        a = skewness / 3
        return t + a * t**2 / math.sqrt(n) + a**2 * t**3 / (3 * n) + skewness / 6 / math.sqrt(n)

    assert statistic(ours.low) == pytest.approx(stats.t.ppf(0.975, n - 1), rel=1e-3)
    assert statistic(ours.high) == pytest.approx(-stats.t.ppf(0.975, n - 1), rel=1e-3)


@given(SAMPLES, st.floats(0.01, 100), st.floats(-100, 100))
def test_the_interval_holds_the_mean_and_moves_with_the_samples(
    samples: np.ndarray, scale: float, shift: float
) -> None:
    if np.ptp(samples) < 1e-3:
        return
    one, other = mean(samples), mean(-scale * samples + shift)
    assert one.low < one.value < one.high
    assert other.low == pytest.approx(shift - scale * one.high, rel=1e-6, abs=1e-6)
    assert other.high == pytest.approx(shift - scale * one.low, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-130, 1e130])
def test_numbers_next_to_nothing_and_huge_ones_have_their_interval(scale: float) -> None:
    samples = np.array([1.0, 2.0, 3.0, 2.0, 9.0, 1.0])
    usual, ours = mean(samples), mean(scale * samples)
    wanted = (scale * usual.low, scale * usual.high)
    assert (ours.low, ours.high) == pytest.approx(wanted, rel=1e-6, abs=0)


def test_the_longer_tail_has_the_longer_arm() -> None:
    ours = mean(np.random.default_rng(1).lognormal(0, 1, 100))
    assert ours.high - ours.value > 1.2 * (ours.value - ours.low)


def test_equal_samples_have_wilsons_interval_over_the_span() -> None:
    ours = mean(np.full(20, 0.7), span=3.0)
    z = stats.norm.ppf(0.975)
    reach = 3 * z**2 / (20 + z**2)
    assert (ours.low, ours.high) == pytest.approx((0.7 - reach, 0.7 + reach))


@pytest.mark.parametrize("samples", [[], [1.0, math.nan] * 9, [1.0, math.inf] * 9])
def test_nothing_is_known_of_what_is_not_finite_or_not_there(samples: list[float]) -> None:
    ours = mean(np.array(samples))
    assert (ours.value, ours.low, ours.high, ours.n) == (0.0, -math.inf, math.inf, 0)
    assert ours.method.startswith("undefined")
    assert samples_for_mean(np.array(samples), 0.5) is None


def test_a_few_items_have_a_mean_and_no_interval() -> None:
    ours = mean(np.array([1.0, 2.0, 4.5]))
    assert (ours.value, ours.low, ours.high, ours.n) == (2.5, -math.inf, math.inf, 3)
    assert "too few" in ours.method


def test_an_error_is_never_below_zero() -> None:
    samples = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.1])
    assert mean(samples).low < 0 == mean_error(samples).low
    assert mean_error(np.array([])) == unknown("undefined: no items")


@given(st.integers(0, 1000), st.floats(-0.9, 0.9))
def test_that_many_samples_decide_and_one_less_does_not(seed: int, gap: float) -> None:
    samples = np.random.default_rng(seed).exponential(size=30)
    limit = float(samples.mean()) + gap
    needed = samples_for_mean(samples, limit)
    if needed is None:
        assert abs(gap) < 1e-6
        return
    seen = moments(samples, 1.0)
    low, high = seen.interval(needed, 0.95)
    assert not low <= limit <= high
    if needed > LEAST_ITEMS:
        low, high = seen.interval(needed - 1, 0.95)
        assert low <= limit <= high


def test_no_number_of_samples_tells_a_mean_from_itself() -> None:
    samples = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert samples_for_mean(samples, 3.0) is None
    assert samples_for_mean(np.zeros(9), 0.5) == LEAST_ITEMS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spread", "n", "least"),
    [(0.5, 20, 0.92), (1.0, 20, 0.9), (1.0, 50, 0.91), (1.0, 200, 0.925), (1.5, 200, 0.9)],
)
def test_the_interval_covers_the_mean_of_skewed_samples(
    spread: float, n: int, least: float
) -> None:
    truth = math.exp(spread**2 / 2)
    assert coverage(lambda random: random.lognormal(0, spread, n), truth, 2000) > least


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 50, 200, 1000])
def test_the_interval_covers_the_mean_of_squared_errors(n: int) -> None:
    assert 0.925 < coverage(lambda random: random.normal(size=n) ** 2, 1.0, 2000) < 0.97


@pytest.mark.slow
def test_the_interval_covers_where_students_does_not() -> None:
    def students(samples: np.ndarray) -> bool:
        low, high = stats.t.interval(0.95, 49, samples.mean(), stats.sem(samples))
        return bool(low <= truth <= high)

    truth = math.exp(0.5)
    ours = coverage(lambda random: random.lognormal(0, 1, 50), truth, 2000)
    draws = (np.random.default_rng(seed).lognormal(0, 1, 50) for seed in range(2000))
    assert ours > np.mean([students(samples) for samples in draws]) + 0.01
