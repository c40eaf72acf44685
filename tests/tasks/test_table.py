import json
import math
import re
import timeit
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.core.specs import CategoryColumn, DateColumn, NumberColumn, TableSpec
from diptych.tasks.table import LARGEST, MISSING, NUMBER, number_of, preparer, word_of

SPEC = TableSpec(
    columns=(
        NumberColumn(name="age"),
        CategoryColumn(name="color", values=("red", "blue", "7", "true")),
        DateColumn(name="day", format="iso"),
    ),
    ignored=("label",),
)
NAN = math.nan
prepare = preparer(SPEC, {})


def same(row: object, expected: list[float]) -> None:
    prepared = prepare(row)
    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared, np.array(expected, np.float32))


def test_a_row_becomes_one_number_per_column() -> None:
    same({"age": 31, "color": "blue", "day": "2000-01-11"}, [31, 2, 10])


def test_the_order_of_names_does_not_matter_and_that_of_cells_does() -> None:
    same({"day": date(2000, 1, 2), "color": "red", "age": 1.5}, [1.5, 1, 1])
    same((1.5, "red", datetime(2000, 1, 2, 12, tzinfo=UTC)), [1.5, 1, 1.5])
    same(np.array([2.0, 7.0, None], object), [2, 3, NAN])


@pytest.mark.parametrize("nothing", [None, *sorted(MISSING), " ", math.nan])
def test_what_is_missing_is_nan_or_0(nothing: object) -> None:
    same({"age": nothing, "color": nothing, "day": nothing}, [NAN, 0, NAN])


def test_columns_that_are_absent_are_missing_and_words_not_seen_before_are_0() -> None:
    same({"color": "green"}, [NAN, 0, NAN])


def test_the_label_may_be_in_the_row() -> None:
    same({"age": 1, "color": "red", "day": None, "label": "yes"}, [1, 1, NAN])


def test_json_is_a_row_too() -> None:
    row = {"age": 31, "color": True, "day": "2000-01-11"}
    same(json.dumps(row), [31, 4, 10])
    same(json.dumps(row).encode(), [31, 4, 10])
    same(json.dumps(list(row.values())), [31, 4, 10])


def test_a_prepared_row_is_taken_as_it_is() -> None:
    row = np.array([1, 2, NAN], np.float32)
    assert prepare(row) is row
    with pytest.raises(DataError, match=r"shape \(2,\) is not a row of 3 columns"):
        prepare(row[:2])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([math.inf, 1, 0], "column 'age' is infinite"),
        ([1, 5, 0], "column 'color': there is no category 5"),
        ([1, 0.5, 0], "column 'color': there is no category 0.5"),
        ([1, NAN, 0], "column 'color': there is no category nan"),
        ([1, 1, -math.inf], "column 'day' is infinite"),
    ],
)
def test_a_prepared_row_that_no_row_gives_is_refused(row: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(np.array(row, np.float32))


@pytest.mark.parametrize(
    "infinite", [math.inf, -math.inf, "inf", "-Infinity", 1e39, 10**400, "1e999"]
)
def test_infinite_numbers_are_missing(infinite: object) -> None:
    same({"age": infinite}, [NAN, 0, NAN])


@given(st.floats(-LARGEST, LARGEST) | st.integers(-(10**20), 10**20))
def test_a_number_and_its_string_are_the_same(number: float) -> None:
    assert number_of(number) == number_of(f" {number!r}\t") == number_of(np.float64(number))


@given(st.integers(-(2**52), 2**52))
def test_a_whole_number_is_one_word_however_it_is_held(number: int) -> None:
    assert word_of(number) == word_of(float(number)) == word_of(str(number)) == str(number)


def test_truth_values_are_words_in_lower_case_and_numbers() -> None:
    assert [word_of(cell) for cell in (True, "True", "TRUE", "true", np.True_)] == ["true"] * 5
    assert word_of(False) == word_of("False") == "false"
    assert number_of(True) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"age": "old"}, "column 'age': 'old' is not a number"),
        ({"age": "1,5"}, "column 'age': '1,5' is not a number"),
        ({"age": "1_000"}, "column 'age': '1_000' is not a number"),
        ({"age": [1]}, "column 'age': list is not a number"),
        ({"age": Decimal(1)}, "column 'age': Decimal is not a number"),
        ({"color": {}}, "column 'color': dict is not a word"),
        ({"day": "31.01.2000"}, "column 'day': '31.01.2000' is not a date"),
        ({"day": 5}, "column 'day': 5 is not a date"),
        ({"day": "9999-12-31T23:59-12:00"}, "column 'day': .* is not a date"),
        ({"age": "x" * 1000}, "column 'age': 'x{39}... is not a number"),
        ([1, 2], "the row has 2 cells, the model 3 columns"),
        ({}, "the row is empty"),
        (b" {} ", "the row is empty"),
        (5, "cannot make a row of int"),
        ("5", "cannot make a row of int"),
        ("age=5", "'age=5' is not a row in JSON"),
        (b"\xff\xfe", "is not a row in JSON"),
        ("[" * 100_000, "is not a row in JSON"),
        (" " * (17 << 20), "a row of 17,825,792 characters is too long"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_it(row: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        prepare(row)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
    assert caught.value.hint


def test_a_name_that_is_not_known_comes_with_the_nearest() -> None:
    with pytest.raises(DataError, match="the model has no column 'colour'") as caught:
        prepare({"age": 1, "colour": "red"})
    assert caught.value.hint == "did you mean 'color'?"
    with pytest.raises(DataError, match="no column '5'"):
        prepare({5: 1})


def test_a_wide_model_does_not_list_all_its_columns() -> None:
    wide = preparer(TableSpec(columns=tuple(NumberColumn(name=f"c{n}") for n in range(999))), {})
    for name in ("income", "c1x"):
        with pytest.raises(DataError, match=f"no column '{name}'") as caught:
            wide({name: 1})
        assert caught.value.hint.startswith("its columns are c0, c1, c2, ")
        assert len(caught.value.hint) < 300


@pytest.mark.timeout(5)
def test_a_wrong_name_behind_very_many_right_ones_is_told_at_once() -> None:
    names = [f"c{n}" for n in range(10_000)]
    more = [f"i{n}" for n in range(10_000)]
    spec = TableSpec(columns=tuple(NumberColumn(name=name) for name in names), ignored=tuple(more))
    row = dict.fromkeys([*names, *more, "income"], 1)
    with pytest.raises(DataError, match="no column 'income'"):
        preparer(spec, {})(row)


@pytest.mark.slow
def test_a_row_of_14_columns_takes_some_microseconds() -> None:
    numbers = [NumberColumn(name=f"n{n}") for n in range(6)]
    words = [CategoryColumn(name=f"w{n}", values=tuple("abcdefgh")) for n in range(8)]
    ready = preparer(TableSpec(columns=(*numbers, *words)), {})
    row = {f"n{n}": 1.5 * n for n in range(6)} | {f"w{n}": "abcdefgh"[n] for n in range(8)}
    seconds = min(timeit.repeat(lambda: ready(row), number=1000, repeat=20)) / 1000
    assert seconds < 30e-6  # 5 us on an idle machine


@pytest.mark.timeout(20)
def test_a_long_word_that_is_no_number_is_told_at_once() -> None:
    assert re.fullmatch(NUMBER, "1" * 200_000 + "x") is None
    assert re.fullmatch(NUMBER, "1" * 200_000 + "." + "1" * 200_000 + "x") is None


@pytest.mark.parametrize("word", ["1", "1.", ".5", "-1.5e3", "+2E-4", "12.25"])
def test_numbers_are_known(word: str) -> None:
    assert re.fullmatch(NUMBER, word)


@pytest.mark.parametrize("word", ["", ".", "e3", "1e", "1..2", "--1", "1 2"])
def test_what_is_no_number_is_known(word: str) -> None:
    assert not re.fullmatch(NUMBER, word)
