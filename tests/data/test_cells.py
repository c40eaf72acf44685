import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.core.specs import DateColumn
from diptych.data.cells import (
    converted,
    is_numeric,
    is_text,
    joined,
    numbers_in,
    python_cells,
    words_in,
)
from diptych.tasks.table import converter, number_of, word_of

NUMBERISH = st.text("0123456789+-.eE ", max_size=8) | st.sampled_from(
    ["", "NA", "inf", "-Infinity", "1e400", "-1e-400", "+.5", "5.", "0x1F", "1_0", "\u0663", "nan"]
)
TEXTS = NUMBERISH | st.text(max_size=6) | st.floats().map(repr) | st.integers().map(str)


def column(cells: list[object], kind: object = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells, kind)])


@settings(max_examples=300)
@given(st.lists(st.none() | TEXTS, max_size=20))
def test_numbers_in_strings_are_those_of_single_cells(cells: list[str | None]) -> None:
    numbers = numbers_in(column(cells, pa.string()))
    for row, cell in enumerate(cells):
        try:
            expected = number_of(cell)
        except ValueError:
            assert numbers.wrong[row]
            continue
        assert not numbers.wrong[row]
        np.testing.assert_array_equal(numbers.values[row], expected)
        assert numbers.missing[row] == (word_of(cell) is None)
        assert numbers.infinite[row] == (math.isnan(expected) and word_of(cell) is not None)


@given(st.lists(st.none() | st.floats()))
def test_numbers_of_a_typed_column_are_those_of_single_cells(cells: list[float | None]) -> None:
    numbers = numbers_in(column(cells, pa.float64()))
    np.testing.assert_array_equal(numbers.values, [number_of(cell) for cell in cells])
    assert not numbers.wrong.any()


@given(st.lists(st.none() | TEXTS))
def test_words_are_those_of_single_cells_but_for_truth_values(cells: list[str | None]) -> None:
    found = words_in(column(cells, pa.string())).to_pylist()
    assert [word and word_of(word) for word in found] == [word_of(cell) for cell in cells]


def test_every_distinct_cell_is_converted_once_and_reasons_are_given_by_row() -> None:
    seen = []

    def convert(cell: object) -> float:
        seen.append(cell)
        if cell == "bad":
            raise DataError("no")
        return -1.0 if cell is None else float(len(str(cell)))

    values, reasons = converted(column(["a", "bad", "aaa", None, "bad", "a"]), convert)
    np.testing.assert_array_equal(values, [1, np.nan, 3, -1, np.nan, 1])
    assert reasons == {1: "no", 4: "no"}
    assert sorted(seen, key=str) == ["None", "a", "aaa", "bad"] or len(seen) == 4


DAYS = [0, None, 2_932_897]  # the last is the first day of the year 10000
SECONDS = [day and 86_400 * day for day in DAYS]


@pytest.mark.parametrize(
    "dates",
    [
        pa.array(DAYS, pa.int32()).cast(pa.date32()),
        pa.array(SECONDS, pa.int64()).cast(pa.timestamp("s")),
        pa.array(SECONDS, pa.int64()).cast(pa.timestamp("s", "UTC")),
    ],
    ids=["day", "moment", "moment with a zone"],
)
def test_a_date_that_python_cannot_hold_cannot_be_converted(dates: pa.Array) -> None:
    convert = converter(DateColumn(name="d", format="iso"))
    values, reasons = converted(pa.chunked_array([dates]), convert)
    np.testing.assert_array_equal(values, [-10_957, np.nan, np.nan])
    assert list(reasons) == [2]
    assert "'10000-01-01" in reasons[2]
    assert str(python_cells(dates)[2]).startswith("10000-01-01")


def test_parts_are_joined_such_that_text_may_be_of_any_length() -> None:
    words = joined(pa.chunked_array([["a"], ["b", None]]))
    assert (words.type, words.to_pylist()) == (pa.large_string(), ["a", "b", None])
    numbers = joined(pa.chunked_array([[1], [2, None]]))
    assert (numbers.type, numbers.to_pylist()) == (pa.int64(), [1, 2, None])


@pytest.mark.parametrize(
    ("cells", "numeric", "text"),
    [([1], True, False), ([1.5], True, False), (["a"], False, True), ([True], False, False)],
)
def test_types_are_told_apart(cells: list[object], numeric: bool, text: bool) -> None:
    assert (is_numeric(column(cells)), is_text(column(cells))) == (numeric, text)
