from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from diptych.tasks.resampling import _phases, resample

RATES = [1000, 8000, 11_025, 16_000, 22_050, 44_100, 48_000]


@given(st.sampled_from(RATES), st.sampled_from(RATES), st.integers(1, 3000))
def test_it_is_what_scipy_computes(rate: int, wanted: int, length: int) -> None:
    samples = np.random.default_rng(length).standard_normal(length)
    divisor = gcd(rate, wanted)
    expected = resample_poly(samples, wanted // divisor, rate // divisor)
    resampled = resample(samples, rate, wanted)
    assert resampled.shape == expected.shape
    np.testing.assert_allclose(resampled, expected, atol=1e-12)


def test_the_same_rate_changes_nothing() -> None:
    samples = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(resample(samples, 8000, 8000), samples)


@pytest.mark.parametrize(("rate", "wanted"), [(44_100, 16_000), (8000, 16_000)])
def test_a_tone_keeps_its_frequency(rate: int, wanted: int) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    resampled = resample(tone, rate, wanted)
    spectrum = np.abs(np.fft.rfft(resampled))
    assert len(resampled) == wanted
    assert spectrum.argmax() == 1000


def test_a_tone_above_the_new_band_is_silenced() -> None:
    tone = np.sin(2 * np.pi * 7000 * np.arange(16_000) / 16_000)
    middle = resample(tone, 16_000, 8000)[200:-200]
    assert np.abs(middle).max() < 0.01


def test_the_filter_of_a_pair_of_rates_is_made_once() -> None:
    samples = np.random.default_rng(0).standard_normal(100)
    first = resample(samples, 21_999, 16_000)
    made = _phases.cache_info().misses
    np.testing.assert_array_equal(resample(samples, 21_999, 16_000), first)
    assert _phases.cache_info().misses == made
