import pyarrow as pa
import pytest

from diptych.core.specs import Notation
from diptych.data.notation import FIELD, POINT, SEPARATOR, notations_in, plain_tables


def plain(
    cells: list[str], *, decimal_comma: bool = False, known: Notation = POINT
) -> tuple[list[str], str]:
    metadata = {SEPARATOR: b";" if decimal_comma else b","}
    table = pa.table({"a": cells}).replace_schema_metadata(metadata)
    (table,), told = plain_tables([table], {"a": known}, ["f.csv"])
    return table.column("a").to_pylist(), "".join(told).removeprefix("column 'a' of f.csv: ")


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
        (["0,125", "3"], False, ["0.125", "3"], "'0,125' is read as 0.125"),
        (
            ["1,5e-05", "1e-04", ",5"],
            True,
            ["1.5e-05", "1e-04", ".5"],
            "'1,5e-05' is read as 1.5e-05",
        ),
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


@pytest.mark.parametrize(
    ("cells", "known", "expected"),
    [
        (["1.234"], "1.234,5", ["1234"]),
        (["1.234", "", "7"], "1.234,5", ["1234", "", "7"]),
        (["1,234"], "1,234.5", ["1234"]),
        (["1,234"], "1.234,5", ["1.234"]),
        (["0.125"], "1.234,5", ["0.125"]),
        (["1.234", "3.5"], "1.234,5", ["1.234", "3.5"]),
        (["1,234.5", "1.5"], "1.234,5", ["1234.5", "1.5"]),
        (["1.234", "n.v."], "1.234,5", ["1234", "n.v."]),
        (["1.234", "3.5", "n.v."], "1.234,5", ["1.234", "3.5", "n.v."]),
    ],
)
@pytest.mark.parametrize("decimal_comma", [False, True])
def test_a_known_notation_counts_where_all_cells_can_be_so(
    cells: list[str], known: Notation, expected: list[str], decimal_comma: bool
) -> None:
    assert plain(cells, known=known, decimal_comma=decimal_comma)[0] == expected


def test_a_table_that_is_not_of_csv_stays() -> None:
    table = pa.table({"a": ["1,5"]})
    assert plain_tables([table], {"a": "1234,5"}, ["f.parquet"]) == ([table], [])


def test_what_a_foreign_file_calls_a_notation_is_not_believed() -> None:
    field = pa.field("a", pa.string(), metadata={FIELD: b"roman"})
    assert notations_in(pa.table([["XII"]], schema=pa.schema([field]))) == {}


def test_words_that_look_like_numbers_stay_where_a_column_is_known_to_hold_words() -> None:
    table = pa.table({"size": ["38,5"]}).replace_schema_metadata({SEPARATOR: b";"})
    (found,), told = plain_tables([table], {"size": None}, ["f.csv"])
    assert (found.column("size").to_pylist(), told) == (["38,5"], [])
