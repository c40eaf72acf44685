import pyarrow as pa
import pytest

from diptych.data.notation import plain_numbers


def plain(cells: list[str], *, decimal_comma: bool = False) -> tuple[list[str], str]:
    column, warning = plain_numbers(
        pa.chunked_array([pa.array(cells)]), decimal_comma=decimal_comma
    )
    return column.to_pylist(), warning


@pytest.mark.parametrize(
    ("cells", "decimal_comma", "expected", "said"),
    [
        (
            ["1,234", "12", "1,234,567.5"],
            False,
            ["1234", "12", "1234567.5"],
            "'1,234' is read as 1234",
        ),
        (["3,14", "2", ""], False, ["3.14", "2", ""], "'3,14' is read as 3.14"),
        (["1,234", "2"], True, ["1.234", "2"], "'1,234' is read as 1.234"),
        (["1.234,5", "1.234", "7"], True, ["1234.5", "1234", "7"], "'1.234,5' is read as 1234.5"),
        (
            ["12,50", "1.234,56", "1.234", "7", ""],
            True,
            ["12.50", "1234.56", "1234", "7", ""],
            "'12,50' is read as 12.50",
        ),
        (["12,50", "1.234"], True, ["12.50", "1234"], "'12,50' is read as 12.50"),
    ],
)
def test_other_ways_to_write_numbers_are_read_and_told(
    cells: list[str], decimal_comma: bool, expected: list[str], said: str
) -> None:
    assert plain(cells, decimal_comma=decimal_comma) == (expected, said)


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "2.5", ""],
        ["1.234"],
        ["1,2,3", "4"],
        ["a,b"],
        ["1,5", "x"],
        ["12,50", "1.234,56", "3.5"],
        [""],
    ],
)
def test_everything_else_stays(cells: list[str]) -> None:
    assert plain(cells) == (cells, "")
    assert plain(cells, decimal_comma=True) == (cells, "")
