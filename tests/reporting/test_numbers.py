import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.reporting.numbers import (
    beside,
    count,
    exact,
    interval,
    limit_of,
    loosened,
    measured,
    plural,
    scaled,
    significant,
)


def number(text: str) -> float:
    return float(text.split(maxsplit=1)[0].replace(",", ""))


@pytest.mark.parametrize(
    ("value", "half", "unit", "written"),
    [
        (0.9342, 0.0048, "fraction", "93.4 %"),
        (0.972, 0.017, "fraction", "97.2 %"),
        (0.93, 0.05, "fraction", "93 %"),
        (0.18234, 0.0061, "ms", "0.182 ms"),
        (1234.0, 51.0, "ms", "1,230 ms"),
        (46_534.2, 1623.0, "target", "46,500"),
        (0.4123, 0.04, "target", "0.41"),
    ],
)
def test_a_value_has_the_digits_that_its_interval_supports(value, half, unit, written) -> None:
    assert measured(value, value - half, value + half, unit) == written


@given(st.floats(0.001, 1000), st.floats(1e-5, 0.5))
def test_rounding_stays_well_inside_the_interval(value: float, share: float) -> None:
    half = share * value
    written = number(measured(value, value - half, value + half, "ms"))
    assert abs(written - value) <= max(0.5001 * half, 5.001e-3 * value)


@given(st.floats(0.001, 1000), st.floats(1e-3, 0.5), st.floats(-0.99, 0.99))
def test_a_written_bound_lies_on_the_same_side_of_the_limit(value, share, where) -> None:
    low, high = value * (1 - share), value * (1 + share)
    limit = value * (1 + share * where)
    first, _, last, _ = interval(low, high, "ms", limit).split()
    shown = {name: number(text) for name, text in (("low", first), ("high", last))}
    tiny = 1e-3 * (high - low)
    assert shown["low"] < limit or limit - low < tiny
    assert shown["high"] > limit or high - limit < tiny


def test_a_time_far_below_the_upper_end_of_its_interval_is_not_written_as_none() -> None:
    assert measured(0.2264, 0.0708, 16.3, "ms") == "0.23 ms"
    assert interval(0.0708, 16.3, "ms") == "0.071 to 16 ms"
    assert measured(0.0684, 0.0409, 1.81, "ms") == "0.068 ms"
    assert measured(0.0002, -0.05, 0.05, "fraction") == "0 %"


def test_a_very_narrow_interval_does_not_give_a_clock_more_than_three_digits() -> None:
    assert measured(0.01211, 0.012108, 0.012118, "ms") == "0.0121 ms"
    assert interval(0.012108, 0.012118, "ms") == "0.0121 to 0.0121 ms"


def test_bounds_that_n_cannot_give_are_said_to_be_missing() -> None:
    assert interval(0.2, math.inf, "ms") == "at least 0.2 ms"
    assert interval(-math.inf, math.inf, "ms") == "unknown"
    assert measured(0.21, 0.2, math.inf, "ms") == "0.21 ms"


def test_an_exact_number_says_so() -> None:
    assert interval(5, 5, "bytes") == "exact"
    assert exact(0.01, "fraction") == "1 %"
    assert exact(300_000, "bytes") == "300 KB"


def test_bounds_of_many_samples_that_coincide_are_not_called_exact() -> None:
    assert interval(0.18, 0.18, "ms") == "exact"
    assert interval(0.18, 0.18, "ms", n=5000) == "0.180 to 0.180 ms"
    assert interval(0.18004, 0.18004, "ms", 0.18, 900) == "0.18004 to 0.18004 ms"
    assert interval(0.0, 0.0, "ms", n=9) == "0 to 0 ms"
    assert interval(41e6, 41e6, "bytes", n=6) == "41 MB to 41 MB"


def test_a_size_just_beyond_its_limit_does_not_look_like_it() -> None:
    assert beside(300_400, 300_000, "bytes") == "300,400 B"
    assert beside(300_000, 300_000, "bytes") == "300 KB"
    assert beside(122_000, 300_000, "bytes") == "122 KB"
    assert interval(49.8e6, 50.02e6, "bytes", 50e6) == "49.8 MB to 50,020,000 B"


def test_a_cost_just_beyond_its_limit_does_not_look_like_it() -> None:
    assert beside(1.04123, 1.0, "usd_per_million") == "$1.04/1M"
    assert beside(1.27, 1.28, "usd_per_million") == "$1.27/1M"
    assert beside(1.2499, 1.25, "usd_per_million") == "$1.2499/1M"
    assert beside(0.5123, 1.25, "usd_per_million") == "$0.51/1M"


@pytest.mark.parametrize(
    ("limit", "unit", "written"),
    [
        (0.9995, "fraction", "99.95 %"),
        (0.07, "fraction", "7 %"),
        (1.25, "usd_per_million", "$1.25/1M"),
        (1234.0, "ms", "1,234 ms"),
        (46_543.0, "target", "46,543"),
        (1_234_567, "bytes", "1.234567 MB"),
        (999_600, "bytes", "999.6 KB"),
        (812, "bytes", "812 B"),
        (0.0, "fraction", "0 %"),
    ],
)
def test_a_limit_keeps_all_digits_that_a_person_gave_it(limit, unit, written) -> None:
    assert limit_of(limit, unit) == written


@given(st.floats(1e-4, 1e5), st.booleans(), st.sampled_from(["ms", "mJ"]))
def test_a_loosened_limit_is_kept_by_the_value_it_was_made_for(value, up, unit) -> None:
    written = number(loosened(value, unit, up))
    assert written >= value * (1 - 1e-6) if up else written <= value * (1 + 1e-6)
    assert abs(written - value) <= 0.0101 * value


@given(st.floats(1e-9, 1e15), st.integers(1, 4))
def test_significant_digits_are_those_of_python_without_an_exponent(value, digits) -> None:
    written = significant(value, digits)
    assert "e" not in written
    assert float(written.replace(",", "")) == pytest.approx(float(f"{value:.{digits}g}"), rel=1e-9)


@given(st.floats(1e-8, 9e17))
def test_a_metric_prefix_keeps_the_value_and_the_number_short(value: float) -> None:
    shown, symbol = scaled(value, "J").split()
    factors = {"PJ": 1e15, "TJ": 1e12, "GJ": 1e9, "MJ": 1e6, "kJ": 1e3, "J": 1.0, "mJ": 1e-3}
    factors |= {"µJ": 1e-6, "nJ": 1e-9}
    assert number(shown) * factors[symbol] == pytest.approx(value, rel=0.051)
    assert number(shown) < 1000


def test_counts_read_as_words() -> None:
    assert (count(78_026), count(9_640_000), count(0)) == ("78,026", "9.64 million", "0")
    assert count(999_999) == "1 million"
    assert (plural(1, "core"), plural(2, "core")) == ("1 core", "2 cores")


def test_a_number_in_the_unit_of_the_target_has_no_symbol() -> None:
    assert interval(44_911, 48_157, "target") == "44,900 to 48,200"
    assert exact(45_250, "target") == "45,250"
    assert loosened(46_534, "target", up=True) == "46,600"


def test_a_share_that_is_as_good_as_none_is_not_written_with_ten_zeros() -> None:
    assert measured(-3.7e-9, -5e-9, -2e-9, "fraction") == "0.000 %"
    assert interval(-5e-9, 5e-9, "fraction") == "0.000 to 0.000 %"
