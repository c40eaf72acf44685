import csv
import io
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.data.delimited import read_delimited
from diptych.data.notation import SEPARATOR

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


def write(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def rows(path: Path) -> list[dict[str, str]]:
    return read_delimited(path)[0].to_pylist()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    content = f"a{separator}b, c\n1{separator}x y\n2{separator}z\n".replace("b, c", "b c")
    assert rows(write(tmp_path, content)) == [{"a": "1", "b c": "x y"}, {"a": "2", "b c": "z"}]


def test_commas_inside_quotes_do_not_mislead(tmp_path: Path) -> None:
    content = 'text;label\n"a, b, c";x\n"d, e, f";y\n'
    assert rows(write(tmp_path, content))[1] == {"text": "d, e, f", "label": "y"}


def test_of_two_separators_in_the_header_the_one_of_the_rows_counts(tmp_path: Path) -> None:
    content = "price (EUR, net);label\n3;x\n4;y\n"
    assert rows(write(tmp_path, content))[0] == {"price (EUR, net)": "3", "label": "x"}


def test_a_long_text_in_the_first_rows_does_not_hide_the_header(tmp_path: Path) -> None:
    content = "text,label\nshort,a\n" + "word " * 30_000 + ",b\nx,a\n"
    assert [row["label"] for row in rows(write(tmp_path, content))] == ["a", "b", "a"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_whatever_python_writes_is_read_back(tmp_path: Path, cells: list[tuple[str, str]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("one", "two"), *cells])
    read = rows(write(tmp_path, buffer.getvalue()))
    if not any(any(letter.isdecimal() for letter in cell) for pair in cells for cell in pair):
        assert [(row["one"], row["two"]) for row in read] == cells


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings_are_found_and_latin_1_is_told(tmp_path: Path, encoding: str) -> None:
    table, warnings = read_delimited(write(tmp_path, "é,b\nü,2\n".encode(encoding)))
    assert table.to_pylist() == [{"é": "ü", "b": "2"}] or encoding == "latin-1"
    assert table.column(0).to_pylist() == ["ü"]
    expected = ("a.csv is not UTF-8 and was read as Latin-1",) if encoding == "latin-1" else ()
    assert warnings == expected


def test_columns_without_a_name_get_one(tmp_path: Path) -> None:
    table, warnings = read_delimited(write(tmp_path, ",a\n0,x\n1,y\n"))
    assert table.column_names == ["column 1", "a"]
    assert warnings == ("column 1 of a.csv has no name",)


def test_cells_stay_as_they_are_written(tmp_path: Path) -> None:
    table, warnings = read_delimited(write(tmp_path, "price;n\n3,14;1\n2,5;2\n"))
    assert table.column("price").to_pylist() == ["3,14", "2,5"]
    assert (warnings, table.schema.metadata) == ((), {SEPARATOR: b";"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("a,b\n", "has a header and no rows"),
        ("a,b,a\n1,2,3\n", "has 2 columns 'a'"),
        ("1,2.5\n3,4\n", "has no header: its first line is 1, 2.5"),
        ("a,b\n1,2\n1,2,3\n4\n", "the header has 2 cells, row 3 has 3, row 4 has 1"),
        ("a:b\n1:2\n3:4\n", "seems to be separated by colons"),
        ("a^b\n1^2\n3^4\n", "seems to be separated by carets"),
        (b"PK\3\4\0\0\0\0rest", r"is not text \(it begins with b'PK"),
        (bytes(range(256)) * 9, "is not text"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_delimited(write(tmp_path, content))
    assert "\n" not in caught.value.message
    assert caught.value.hint


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary(max_size=200))
def test_garbage_is_a_table_or_one_clear_line(tmp_path: Path, content: bytes) -> None:
    with suppress(DataError):
        assert read_delimited(write(tmp_path, content))[0].num_rows
