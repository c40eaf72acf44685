"""Rates, against SciPy's chi-square quantiles and a simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from diptych.core.errors import ConfigError
from diptych.measure.rates import rate


@given(st.integers(0, 3000), st.floats(1e-3, 1e4), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_the_interval_is_the_one_that_chi_square_quantiles_give(count, exposure, confidence):
    tail = (1 - confidence) / 2
    found = rate(count, exposure, confidence)
    assert (found.value, found.n) == (count / exposure, count)
    low = chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    assert found.low == pytest.approx(low / exposure, rel=1e-6)
    high = chi2.ppf(1 - tail, 2 * count + 2) / 2
    assert found.high == pytest.approx(high / exposure, rel=1e-6)


def test_the_interval_holds_the_rate_as_often_as_it_says():
    counts = np.random.default_rng(0).poisson(4.2 * 2, 400)
    held = [found.low <= 4.2 <= found.high for found in (rate(int(n), 2.0) for n in counts)]
    assert np.mean(held) >= 0.93


@pytest.mark.parametrize(
    "wrong", [(-1, 1.0), (1, 0.0), (1, float("inf")), (1, float("nan")), (1, 1.0, 1.0)]
)
def test_impossible_counts_times_and_confidences_are_refused(wrong):
    with pytest.raises(ConfigError):
        rate(*wrong)
