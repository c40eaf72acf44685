from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.specs import Notation
from diptych.data.notation import POINT, notation_of, plain_numbers
from diptych.inference.numerals import Numerals

pa = pytest.importorskip("pyarrow")


def written(column: list[str], *, decimal_comma: bool, known: Notation = POINT) -> list[str]:
    numerals = Numerals(decimal_comma=decimal_comma, known=known)
    for cell in column:
        numerals.look(cell)
    return [numerals.plain(cell) for cell in column]


@pytest.mark.parametrize(
    ("cell", "comma", "point"),
    [
        ("1,5", "1.5", "1.5"),
        ("1,234", "1.234", "1234"),
        ("1.234", "1.234", "1.234"),
        ("1.234.567", "1234567", "1234567"),
        ("1.234,5", "1234.5", "1234.5"),
        ("-1,234,567.8", "-1234567.8", "-1234567.8"),
        ("1,2,3", "1,2,3", "1,2,3"),
        ("a,b", "a,b", "a,b"),
        ("", "", ""),
    ],
)
def test_numbers_are_written_with_a_point(cell: str, comma: str, point: str) -> None:
    assert written([cell], decimal_comma=True) == [comma]
    assert written([cell], decimal_comma=False) == [point]


whole = st.integers(-(10**7), 10**7)
plain = st.floats(-(10**7), 10**7).map(lambda number: f"{number:.3f}")
grouped = st.one_of(whole.map("{:,}".format), plain.map(lambda text: f"{float(text):,.2f}"))
WAYS = {
    "a point": plain,
    "a comma": plain.map(lambda text: text.replace(".", ",")),
    "grouped": grouped,
    "grouped by points": grouped.map(lambda text: text.translate(str.maketrans(",.", ".,"))),
    "whole": whole.map(str),
    "powers of ten": plain.map(lambda text: f"{float(text):.2e}".replace(".", ",")),
    "no zero": plain.map(lambda text: text.replace(".", ",").replace("0,", ",")),
}
NOT_NUMBERS = ["n.v.", "-", "1.2.3", "1,2,3", ""]


@settings(max_examples=200)
@given(
    st.sampled_from(list(WAYS)).flatmap(lambda way: st.lists(WAYS[way], min_size=1, max_size=6)),
    st.booleans(),
    st.sampled_from(get_args(Notation)),
)
def test_a_column_is_read_as_in_training(
    column: list[str], decimal_comma: bool, known: Notation
) -> None:
    cells = pa.chunked_array([column])
    found = notation_of(cells, decimal_comma=decimal_comma, known=known)
    expected = plain_numbers(cells, found or POINT).to_pylist()
    assert written(column, decimal_comma=decimal_comma, known=known) == expected


def test_cells_that_agree_on_nothing_are_read_one_by_one() -> None:
    cells = ["1.234,5", "1,234.5", "1.234", "n/a"]
    assert written(cells, decimal_comma=True) == ["1234.5", "1234.5", "1.234", "n/a"]


def test_a_lone_cell_is_read_as_the_training_data_had_them() -> None:
    assert written(["1.234"], decimal_comma=False, known="1.234,5") == ["1234"]
    assert written(["3.5"], decimal_comma=False, known="1.234,5") == ["3.5"]


@settings(max_examples=200)
@given(
    st.sampled_from([name for name in get_args(Notation) if name != POINT]),
    st.lists(st.one_of(whole, plain.map(float)), min_size=1, max_size=6),
    st.lists(st.sampled_from(NOT_NUMBERS), max_size=3),
    st.booleans(),
)
def test_cells_that_are_no_numbers_hide_a_known_notation_neither_here_nor_in_training(
    known: Notation, numbers: list[float], others: list[str], decimal_comma: bool
) -> None:
    commas = known in {"1.234,5", "1234,5"}
    texts = [f"{n:,}" if known in {"1,234.5", "1.234,5"} else f"{n}" for n in numbers]
    column = [text.translate(str.maketrans(",.", ".,")) if commas else text for text in texts]
    column += others
    cells = pa.chunked_array([column])
    assert notation_of(cells, decimal_comma=decimal_comma, known=known) == known
    expected = plain_numbers(cells, known).to_pylist()
    assert written(column, decimal_comma=decimal_comma, known=known) == expected
