from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.specs import CategoryColumn, DateColumn, NumberColumn
from diptych.data.column_kinds import MOST_VALUES, Found, find_kind


def find(cells: list[object], kind: object = None) -> Found:
    return find_kind("c", pa.chunked_array([pa.array(cells, kind)]))


@pytest.mark.parametrize(
    "cells", [[1, 5], [1.5, None], ["1", " 2.5 ", "", "NA", "?"], ["1"] * 9 + ["2"] * 9 + ["x"]]
)
def test_numbers_are_numbers_also_as_strings_and_among_few_others(cells: list[object]) -> None:
    assert find(cells) == Found(column=NumberColumn(name="c"))


def test_words_are_listed_by_how_often_they_occur() -> None:
    found = find(["b", "a", " b", None, "c", "c", "c", "rare", "a"])
    assert found == Found(column=CategoryColumn(name="c", values=("c", "a", "b")))


def test_truth_values_are_words() -> None:
    assert find([True, False, False, True, True]).column == CategoryColumn(
        name="c", values=("true", "false")
    )


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["2020-01-31", "2021-02-01T10:00:00Z", ""], "iso"),
        (["31/01/2020", "01/02/2020"], "%d/%m/%Y"),
        (["01/31/2020", "01/02/2020"], "%m/%d/%Y"),
        (["31.01.2020 10:00", "01.02.2021 12:30"], "%d.%m.%Y %H:%M"),
        (["Jan 31, 2020", "Feb 01, 2021"], "%b %d, %Y"),
        (["never", "2020-01-31", "2021-02-01"], "iso"),
    ],
)
def test_dates_are_found_in_their_form(cells: list[object], form: str) -> None:
    assert find(cells) == Found(column=DateColumn(name="c", format=form))


def test_typed_dates_need_no_form() -> None:
    assert find([date(2020, 1, 1), date(2020, 1, 2)]).column == DateColumn(name="c", format="iso")


def test_dates_that_could_be_read_in_two_ways_are_told() -> None:
    found = find(["01/02/2020", "03/04/2020"])
    assert found.column == DateColumn(name="c", format="%d/%m/%Y")
    assert found.warning == (
        "'01/02/2020' is read in the form '31/01/2000', though '01/31/2000' would fit too"
    )


def test_dates_that_are_sorted_are_told_apart_by_late_ones() -> None:
    start = datetime(2024, 1, 5, tzinfo=UTC)
    moments = [start + timedelta(minutes=number) for number in range(0, 20_000, 4)]
    found = find([moment.strftime("%m/%d/%Y %H:%M") for moment in moments])
    assert found == Found(column=DateColumn(name="c", format="%m/%d/%Y %H:%M"))


def test_numbers_that_go_up_and_down_by_one_do_not_count_rows() -> None:
    assert find([0, 1] * 50).column == NumberColumn(name="c")


@pytest.mark.parametrize(
    ("cells", "warning"),
    [
        ([1, 1, 1], "all cells are 1; it is not used"),
        (["a", "a"], "all cells are 'a'; it is not used"),
        (["", "NA"], "no cell holds anything; it is not used"),
        ([float("nan"), None], "no cell holds anything; it is not used"),
        (list(range(100)), "it counts the rows; it is not used"),
        ([str(-number) for number in range(100)], "it counts the rows; it is not used"),
        (
            [f"name {n}" for n in range(100)],
            "100 different words in 100 cells tell nothing; it is not used",
        ),
        ([date(2020, 1, 1)] * 2, "all cells are the same; it is not used"),
        ([[1], [2]], "list<item: int64> cells tell nothing; it is not used"),
        ([b"a", b"b"], "binary cells tell nothing; it is not used"),
        ([time(10), time(11)], "time64[us] cells tell nothing; it is not used"),
        ([timedelta(1), timedelta(2)], "duration[us] cells tell nothing; it is not used"),
        ([None, None], "null cells tell nothing; it is not used"),
    ],
)
def test_columns_that_tell_nothing_are_left_out_and_told(cells: list[object], warning: str) -> None:
    assert find(cells) == Found(column=None, warning=warning)


@pytest.mark.parametrize("kind", [pa.binary(1), pa.large_binary()])
def test_bytes_of_any_form_are_left_out(kind: pa.DataType) -> None:
    warning = f"{kind} cells tell nothing; it is not used"
    assert find([b"a", b"b"], kind) == Found(column=None, warning=warning)


def test_a_value_beside_missing_cells_is_not_constant() -> None:
    assert find([1, None, 1]).column == NumberColumn(name="c")
    assert find(["a", None, "a"]).column == CategoryColumn(name="c", values=("a",))


def test_infinite_cells_are_counted() -> None:
    assert find([1.0, float("inf"), 2.0, -float("inf")]).warning == (
        "2 infinite cells are taken as missing"
    )


def test_a_hundred_thousand_words_are_cut_to_the_most_frequent() -> None:
    words = [f"w{number}" for number in range(100_000)]
    found = find(words + words + words[:10])
    assert isinstance(found.column, CategoryColumn)
    assert len(found.column.values) == MOST_VALUES
    assert found.column.values[0] == "w0"
    assert found.warning.startswith("4,096 of 100,000 words are kept; the others, 191,808 cells")


@given(st.lists(st.none() | st.text(max_size=5) | st.sampled_from(["1", "2020-01-01", "a"])))
def test_any_strings_are_of_some_kind(cells: list[str | None]) -> None:
    found = find(cells, pa.string())
    assert found.column is not None or found.warning


@pytest.mark.parametrize("name", ["column 1", "Unnamed: 0", "__index_level_0__"])
def test_an_index_that_was_shuffled_is_not_used(name: str) -> None:
    cells = np.random.default_rng(0).permutation(100)
    found = find_kind(name, pa.chunked_array([cells]))
    assert found == Found(column=None, warning="it is an index of the rows; it is not used")
    for others in (cells // 2, cells / 2):
        assert find_kind(name, pa.chunked_array([others])).column == NumberColumn(name=name)
    assert find_kind("price", pa.chunked_array([cells])).column == NumberColumn(name="price")
