"""Sign tests: against SciPy's binomial, by hand, and by the simulated rate of false alarms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from diptych.core.errors import ConfigError
from diptych.measure.signs import holm, losing, sign_test

COUNTS = st.integers(0, 400)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)


@given(COUNTS, COUNTS)
def test_both_tests_are_scipys(lost: int, gained: int) -> None:
    n = lost + gained
    one_sided = stats.binomtest(lost, n, alternative="greater").pvalue if n else 1.0
    two_sided = stats.binomtest(lost, n).pvalue if n else 1.0
    assert losing(lost, gained) == pytest.approx(one_sided, rel=1e-9, abs=1e-15)
    assert sign_test(lost, gained) == pytest.approx(two_sided, rel=1e-9, abs=1e-15)


def test_what_is_known_by_hand() -> None:
    assert losing(5, 0) == pytest.approx(2**-5)
    assert losing(0, 5) == pytest.approx(1)
    assert sign_test(0, 0) == losing(0, 0) == 1
    assert sign_test(6, 0) == pytest.approx(2 / 64)
    assert sign_test(3, 3) == 1


def test_a_hundred_thousand_flips_are_no_trouble() -> None:
    assert losing(50_500, 49_500) == pytest.approx(stats.binom.sf(50_499, 100_000, 0.5), rel=1e-6)


@given(COUNTS, COUNTS)
def test_one_more_lost_is_one_more_reason(lost: int, gained: int) -> None:
    assert losing(lost + 1, gained) <= losing(lost, gained) <= losing(lost, gained + 1)


def test_a_count_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="-1"):
        losing(-1, 3)


def test_holms_correction_by_hand() -> None:
    p_values = np.array([0.04, 0.01, 0.5, 0.03])
    assert holm(p_values) == pytest.approx([0.09, 0.04, 0.5, 0.09])
    assert holm(np.array([])).shape == (0,)


@given(P_VALUES)
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p_values: np.ndarray) -> None:
    corrected = holm(p_values)
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(1, len(p_values) * p_values) + 1e-12).all()
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()


def test_two_equally_good_models_are_told_apart_as_rarely_as_said() -> None:
    rng = np.random.default_rng(0)
    flips = rng.poisson(30, 3000)
    lost = rng.binomial(flips, 0.5)
    alarms = [sign_test(int(a), int(n - a)) <= 0.05 for a, n in zip(lost, flips, strict=True)]
    assert 0.02 < np.mean(alarms) <= 0.05
