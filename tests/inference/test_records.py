"""Rows of files, against pyarrow and Python's own readers."""

import csv
import io
import json
from contextlib import suppress
from decimal import Decimal
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.data.delimited import read_delimited
from diptych.data.notation import plain_tables
from diptych.inference import records
from diptych.inference.records import count_lines, parse_lines, read_records

cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=8)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_was_written_as_csv_is_read_again(tmp_path_factory, rows, separator, encoding):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL)
        writer.writerows([("a", "b c", "dé"), *rows])
    assert [tuple(row.values()) for row in read_records(path)] == rows
    assert list(next(read_records(path))) == ["a", "b c", "dé"]
    assert count_lines(path) >= len(rows) or encoding == "utf-16"


@pytest.mark.parametrize(
    "content",
    [
        b"a;b\n1,5;x\n2345,25;y\n-3,0;z\n",
        b'a,b\n"1,234",x\n"12,345.5",y\n',
        b"a\tb\n0,5\tx\n1,250\tx\n12,75\tx\n",
        b"a;b\n1.234.567;x\n12.345;x\n",
        b"a\tb\n1,250\tx\n1.5\tx\n,\n".replace(b",\n", b"\t\n"),
        b"a\tb\n1\tcaf\xe9\n",
        b"a|b\n\n1|2\n\n",
        b"a, b \n1,2\n",
        b"a,\n1,2\n",
        b"price, EUR;price, USD;a\n3;4;1,5\n5;6;2,5\n",
    ],
)
def test_a_table_is_read_as_training_reads_it(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    tables, _ = plain_tables([read_delimited(path)[0]], {}, [path.name])
    expected = tables[0].to_pylist()
    assert list(read_records(path, numbers={"a": "1234.5"})) == expected


def test_json_is_read_from_lines_and_from_a_list(tmp_path):
    rows = [{"a": 1, "b": None}, {"a": "x"}, {}]
    lines = tmp_path / "a.jsonl"
    lines.write_text("\ufeff" + "\n\n".join(map(json.dumps, rows)))
    listed = tmp_path / "a.json"
    listed.write_text(" \n" + json.dumps(rows, indent=1))
    assert list(read_records(lines)) == list(read_records(listed)) == rows


def test_parquet_is_read_row_by_row(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1, None], "b": [Decimal("1.50"), Decimal("2.25")]}), path)
    assert list(read_records(path)) == [{"a": 1, "b": 1.5}, {"a": None, "b": 2.25}]
    assert count_lines(path) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b" \n", "begins with"),
        ("a.csv", b"\x00\x01", "not a table"),
        ("a.csv", b"\xff\xfea", "cannot be read as CSV"),
        ("a.csv", b"a,a\n1,2\n", "2 columns 'a'"),
        ("a.csv", b",\n1,2\n", "names of its columns"),
        ("a.csv", b"a,b\n1,2\n1\n", "row 3 has 1 cells, the header 2"),
        ("a.tsv", b"a\tb\n1\t2\t3\n", "row 2 has 3 cells"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "line 2"),
        ("a.jsonl", b'{"a": 1', "line 1"),
        ("a.jsonl", b'{"a": "\xff"}', "line 1"),
        ("a.json", b"[1]", "got `int`"),
        ("a.json", b"[" * 99_999, "a.json"),
        ("a.parquet", b"PAR1", "Parquet"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_records(path))
    assert message in caught.value.message
    assert name in caught.value.message


def test_a_line_without_end_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(records, "MAX_LINE_BYTES", 50)
    asked = []

    def endless(most: int) -> bytes:
        asked.append(most)
        return b"x" * most

    with pytest.raises(DataError, match="longer than 50 B"):
        list(parse_lines(endless, "input"))
    assert asked == [51]


@given(st.binary(max_size=80), st.sampled_from([".csv", ".jsonl", ".json"]))
def test_any_bytes_give_rows_or_a_data_error(tmp_path_factory, content, suffix):
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"
    path.write_bytes(content)
    with suppress(DataError):
        assert all(isinstance(row, dict) for row in read_records(path))


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match="cannot be read: no such file"):
        list(read_records(tmp_path / "a.csv"))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_file_whose_lines_cannot_be_counted_is_one_line(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=name):
        count_lines(tmp_path / name)


def test_lines_are_read_one_at_a_time():
    file = io.BytesIO(b'{"a": 1}\n' * 1000)
    rows = parse_lines(partial(file.readline), "input")
    next(rows)
    assert file.tell() == 9
