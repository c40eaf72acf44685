import math
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.core.text import (
    duration,
    nearest,
    number,
    parse_duration,
    parse_size,
    quantity,
    size,
)

SCALES = {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9}


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("pp99", "did you mean 'p99'?"),
        ("SIZE", "did you mean 'size'?"),
        ("zzz", "known: drop, p99, size"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_or_all(word: str, hint: str) -> None:
    assert nearest(word, {"size": 1, "p99": 2, "drop": 3}) == hint


def test_of_a_long_name_the_first_letters_decide() -> None:
    assert nearest("x" * 5_000_000, {"y" * 200}) == f"known: {'y' * 200}"
    assert nearest("x" * 5_000_000, {"x" * 199}) == f"did you mean {'x' * 199!r}?"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (1000, "1 KB"),
        (1_234_567, "1.23 MB"),
        (999_499, "999 KB"),
        (999_600, "1 MB"),
        (2e12, "2,000 GB"),
    ],
)
def test_a_size_is_written_in_decimal_units(size_bytes: float, text: str) -> None:
    assert size(size_bytes) == text


@given(st.integers(0, 10**15))
def test_a_written_size_is_right_to_three_digits_and_has_no_exponent(size_bytes: int) -> None:
    text, unit = size(size_bytes).split()
    assert "e" not in text
    assert float(text.replace(",", "")) * SCALES[unit] == pytest.approx(size_bytes, rel=0.006)


@given(st.floats(-1e12, 1e12))
def test_a_written_number_is_right_to_three_digits(value: float) -> None:
    assume(value == 0 or abs(value) > 1e-300)
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.006)
    assert abs(value) < 1e-4 or "e" not in number(value)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00624, "fraction", "0.62 %"),
        (-1e-9, "fraction", "0.00 %"),
        (1.0, "fraction", "100.00 %"),
        (0.1834, "ms", "0.183 ms"),
        (1234.4, "ms", "1,234 ms"),
        (122_000, "bytes", "122 KB"),
        (0.0523, "usd_per_million", "$0.0523/1M"),
        (12_000, "usd_per_million", "$12,000/1M"),
        (4.2, "mJ", "4.2 mJ"),
        (49_871.3, "target", "49,871"),
        (0.123456, "target", "0.1235"),
        (999.94, "target", "999.9"),
        (-1_234_567, "target", "-1,234,567"),
        (math.inf, "bytes", "inf"),
        (-math.inf, "fraction", "-inf"),
    ],
)
def test_a_quantity_is_written_in_its_unit(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (41.4, "41 s"),
        (59.7, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.9, "1 h 00 min"),
        (3900, "1 h 05 min"),
    ],
)
def test_a_duration_is_written_in_the_units_people_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1e6))
def test_a_written_duration_is_right_to_a_minute_and_never_shows_sixty(seconds: float) -> None:
    words = duration(seconds).split()
    pairs = [(float(n), unit) for n, unit in zip(words[::2], words[1::2], strict=True)]
    read = sum(n * {"s": 1, "min": 60, "h": 3600}[unit] for n, unit in pairs)
    assert read == pytest.approx(seconds, abs=0.5 if seconds < 3599 else 60)
    assert all(n < 60 for n, unit in pairs if unit != "h")


@given(
    st.floats(1e-3, 1e6).map(lambda x: round(x, 3)),
    st.sampled_from(
        [("s", 1), ("sec", 1), ("m", 60), ("min", 60), ("h", 3600), ("", 1), ("M", 60)]
    ),
    st.sampled_from(["", " ", "  "]),
)
def test_a_duration_is_read_with_any_unit_and_spaces(
    amount: float, unit: tuple[str, int], space: str
) -> None:
    text = f"{space}{amount:.3f}{space}{unit[0]}{space}"
    assert parse_duration(text) == pytest.approx(amount * unit[1])


@pytest.mark.parametrize("text", ["25.", ".5h", "1.5h", "007"])
def test_a_duration_may_be_written_loosely(text: str) -> None:
    assert parse_duration(text) > 0


@pytest.mark.parametrize(
    "text", ["", "m", "0", "0s", "-5s", "1e3", "nan", "inf", "5d", "1h30m", ".", "9" * 400]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_duration(text)
    assert repr(text) in raised.value.message
    assert raised.value.hint == "write it such as 90s, 25m or 1.5h"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["1" * 200_000 + "x", "1." + "1" * 200_000 + "x", "1" + " " * 200_000 + "x", " " * 200_000],
    ids=["digits", "decimals", "blanks inside", "blanks"],
)
def test_a_long_text_that_is_neither_is_told_at_once(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with pytest.raises(ConfigError, match="is not a"):
            parse(text)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with suppress(ConfigError):
        assert 0 < parse_duration(text) < math.inf


@given(st.integers(0, 10**6), st.sampled_from(["", "B", "kB", "MB", " gb "]))
def test_a_size_is_its_number_times_its_unit(amount: int, unit: str) -> None:
    assert parse_size(f"{amount}{unit}") == amount * SCALES[unit.strip().upper() or "B"]


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e3", "nan", "inf", "5TB", ".", "9" * 400])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a size") as raised:
        parse_size(text)
    assert raised.value.hint == "write it such as 500MB or 20GB"
