import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm

from diptych.core.errors import ConfigError
from diptych.core.values import Estimate
from diptych.measure.proportions import (
    discordant,
    normal_quantile,
    paired_drop,
    proportion,
    samples_for_drop,
    samples_for_proportion,
    tango_statistic,
)


def answers(lost: int, gained: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Make two models' answers with the given numbers of discordant items."""
    reference = np.ones(n, dtype=bool)
    candidate = np.ones(n, dtype=bool)
    candidate[:lost] = False
    reference[lost : lost + gained] = False
    return reference, candidate


@cache
def drop_of(lost: int, gained: int, n: int) -> Estimate:
    return paired_drop(*answers(lost, gained, n))


def naive_statistic(lost: int, gained: int, n: int, difference: float) -> float:
    """Maximize the multinomial likelihood under the null by a search, not by a formula."""

    def deviance(null_gained: float) -> float:
        null_lost = null_gained + difference
        cells = ((lost, null_lost), (gained, null_gained), (n - lost - gained, None))
        rest = 1 - null_lost - null_gained
        total = 0.0
        for count, share in cells:
            total -= count * math.log(max(rest if share is None else share, 1e-300))
        return total

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    best = minimize_scalar(deviance, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    variance = n * (2 * best.x + difference * (1 - difference))
    return (lost - gained - n * difference) / math.sqrt(variance)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_proportion_has_the_wilson_interval_of_scipy(case: tuple[int, int]) -> None:
    successes, n = case
    ours = proportion(successes, n)
    theirs = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)
    assert ours.low <= ours.value <= ours.high


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_a_proportion_of_nothing_or_of_too_many_is_refused(successes: int, n: int) -> None:
    with pytest.raises(ConfigError, match=f"{successes} successes of {n}"):
        proportion(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, math.nan])
def test_a_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    with pytest.raises(ConfigError, match="confidence"):
        normal_quantile(confidence)


@pytest.mark.parametrize(
    ("lost", "gained", "n"),
    [(12, 5, 100), (3, 9, 40), (1, 1, 20), (150, 40, 10_000), (0, 4, 60), (7, 0, 60)],
)
def test_the_tango_statistic_matches_a_searched_likelihood(lost: int, gained: int, n: int) -> None:
    for difference in (-0.4, -0.1, -0.01, 0.003, 0.05, 0.3, 0.6):
        ours = math.sqrt(n) * tango_statistic(lost / n, gained / n, difference)
        assert ours == pytest.approx(naive_statistic(lost, gained, n, difference), rel=1e-4)


@pytest.mark.parametrize(
    ("lost", "gained", "n"), [(12, 5, 100), (0, 0, 50), (3, 0, 30), (9, 21, 44)]
)
def test_the_interval_of_a_drop_holds_what_a_grid_of_score_tests_accepts(
    lost: int, gained: int, n: int
) -> None:
    grid = np.linspace(-0.9995, 0.9995, 2000)
    accepted = [
        point for point in grid if abs(naive_statistic(lost, gained, n, point)) <= norm.ppf(0.975)
    ]
    ours = drop_of(lost, gained, n)
    assert ours.low == pytest.approx(min(accepted), abs=0.0011)
    assert ours.high == pytest.approx(max(accepted), abs=0.0011)


@pytest.mark.parametrize(
    ("lost", "gained", "n", "confidence", "low", "high"),
    [
        (1, 7, 21, 0.95, -0.517, -0.026),  # Fagerland et al. 2014, table II
        (16, 8, 86, 0.95, -0.020, 0.207),  # Agresti and Min 2005
        (28, 25, 618, 0.90, -0.0148, 0.0247),  # R's PropCIs::scoreci.mp(25, 28, 618)
    ],
)
def test_the_interval_of_a_drop_matches_published_figures(
    lost: int, gained: int, n: int, confidence: float, low: float, high: float
) -> None:
    ours = paired_drop(*answers(lost, gained, n), confidence)
    assert ours.low == pytest.approx(low, abs=0.0005)
    assert ours.high == pytest.approx(high, abs=0.0005)


@given(
    st.integers(1, 300).flatmap(
        lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n))
    )
)
def test_exchanging_the_models_mirrors_the_interval(case: tuple[int, int, int]) -> None:
    lost, gained, n = case
    gained = min(gained, n - lost)
    one, other = drop_of(lost, gained, n), drop_of(gained, lost, n)
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert one.high == pytest.approx(-other.low, abs=1e-9)
    assert -1 <= one.low <= one.value <= one.high <= 1


@pytest.mark.parametrize(
    ("p_lost", "p_gained", "n"), [(0.02, 0.01, 200), (0.05, 0.05, 100), (0.01, 0.002, 1000)]
)
def test_the_interval_of_a_drop_covers_the_truth_about_as_often_as_it_says(
    p_lost: float, p_gained: float, n: int
) -> None:
    shares = [p_lost, p_gained, 1 - p_lost - p_gained]
    counts = np.random.default_rng(7).multinomial(n, shares, size=2000)
    intervals = [drop_of(int(lost), int(gained), n) for lost, gained, _ in counts]
    truth = p_lost - p_gained
    coverage = np.mean([one.low <= truth <= one.high for one in intervals])
    assert 0.935 <= coverage <= 0.985


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_answers_that_cannot_be_paired_are_refused(shapes: tuple[tuple[int], tuple[int]]) -> None:
    with pytest.raises(ConfigError, match="cannot be paired"):
        paired_drop(np.ones(shapes[0], bool), np.ones(shapes[1], bool))


def test_discordant_items_are_counted() -> None:
    reference = np.array([1, 1, 1, 0, 0], bool)
    candidate = np.array([1, 0, 0, 1, 0], bool)
    assert discordant(reference, candidate) == (2, 1, 5)


@pytest.mark.parametrize("limit", [0.0, 0.005, 0.02, 0.2])
def test_the_samples_asked_for_a_drop_are_just_enough_to_decide(limit: float) -> None:
    lost, gained, n = 30, 20, 1000
    needed = samples_for_drop(*answers(lost, gained, n), limit)
    assert needed is not None
    z = norm.ppf(0.975)
    statistic = abs(tango_statistic(lost / n, gained / n, limit))
    assert statistic * math.sqrt(needed) >= z * (1 - 1e-9)
    assert statistic * math.sqrt(needed - 1) < z


def test_the_samples_asked_for_a_drop_decide_when_the_data_repeats() -> None:
    reference, candidate = answers(12, 5, 1000)
    needed = samples_for_drop(reference, candidate, 0.01)
    assert needed is not None
    assert needed > 1000
    assert paired_drop(reference, candidate).high > 0.01
    times = math.ceil(needed / 1000)
    assert paired_drop(np.tile(reference, times), np.tile(candidate, times)).high <= 0.01


def test_no_number_of_samples_decides_a_drop_that_equals_its_limit() -> None:
    assert samples_for_drop(*answers(3, 1, 200), 0.01) is None


@given(st.integers(1, 99), st.floats(0.01, 0.99))
def test_the_samples_asked_for_a_proportion_are_just_enough(successes: int, limit: float) -> None:
    needed = samples_for_proportion(successes, 100, limit)
    share = successes / 100
    if share == limit:
        assert needed is None
        return
    assert needed is not None
    score = abs(share - limit) / math.sqrt(limit * (1 - limit))
    assert score * math.sqrt(needed) >= norm.ppf(0.975) * (1 - 1e-9)
    assert needed == 1 or score * math.sqrt(needed - 1) < norm.ppf(0.975) * (1 + 1e-9)
