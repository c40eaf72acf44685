"""What the words after a bundle stand for."""

import io
import json

import pytest

from diptych.cli.inputs import open_inputs
from diptych.cli.main import run
from diptych.core.errors import ConfigError, DataError
from diptych.core.specs import CategoryColumn, NumberColumn, TableSpec, TextSpec
from diptych.inference.bundle import load

TEXT = TextSpec(tokens=8, vocabulary=100)
TABLE = TableSpec(
    columns=(NumberColumn(name="age"), CategoryColumn(name="color", values=("red",))),
    ignored=("price",),
)


def items(word: str, spec, column: str | None = None) -> list[tuple[str, object]]:
    (source,) = open_inputs([word], spec, column)
    return [(one.name, one.item) for one in source.items]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_word_that_is_no_path_is_the_text_itself(place):
    for text in ("so good", "3/4 of it. Really", "a" * 9000, "v1.2", "and/or", "{}", "é…"):
        assert items(text, TEXT) == [(text, text)]


@pytest.mark.parametrize("word", ["absent.txt", "my absent.CSV", "a/b.md", "../x/y.jsonl"])
def test_a_word_that_looks_like_a_path_must_exist(place, word):
    with pytest.raises(DataError, match="there is no file"):
        items(word, TEXT)


def test_a_text_file_is_one_text_and_a_folder_is_several(place):
    (place / "b.txt").write_text("one\ntwo")
    (place / "a.txt").write_text("three")
    assert items("b.txt", TEXT) == [("b.txt", place.__class__("b.txt"))]
    assert [name for name, _ in items(str(place), TEXT)] == [
        str(place / "a.txt"),
        str(place / "b.txt"),
    ]


@pytest.mark.parametrize(
    ("header", "column", "expected"),
    [
        ("text,label", None, "x"),
        ("id,Sentence,other", None, "y"),
        ("label,words", None, "y"),
        ("words", None, "x"),
        ("a,b,c", "c", "z"),
    ],
)
def test_the_column_of_texts_is_found(place, header, column, expected):
    width = header.count(",") + 1
    row = ",".join("xyz"[:width])
    (place / "a.csv").write_text(f"{header}\n{row}\n{row}\n")
    assert items("a.csv", TEXT, column) == [("a.csv#0", expected), ("a.csv#1", expected)]


@pytest.mark.parametrize(
    ("header", "column", "message"),
    [("a,b,c", None, "which column"), ("text,b", "txt", "no column 'txt'")],
)
def test_an_unclear_or_absent_column_of_texts_is_told(place, header, column, message):
    (place / "a.csv").write_text(f"{header}\n{header}\n")
    with pytest.raises(DataError, match=message):
        items("a.csv", TEXT, column)


def test_texts_come_line_by_line_from_standard_input(monkeypatch):
    data = io.BytesIO("\ufeffso good\r\n\nso bad, é".encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data))
    assert [item for _, item in items("-", TEXT)] == ["so good", "", "so bad, é"]


def test_rows_leave_out_what_the_bundle_does_not_know_and_say_so(place, capsys):
    (place / "a.csv").write_text('id,age,price\n1,"1,5",9\n2,,8\n')
    assert items("a.csv", TABLE) == [
        ("a.csv#0", {"age": "1.5", "price": "9"}),
        ("a.csv#1", {"age": "", "price": "8"}),
    ]
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "a.csv: without 'color', taken as missing",
        "a.csv: passed over 'id', which the bundle does not use",
    ]


def test_a_lone_row_is_read_as_the_training_data_was(place):
    (place / "a.csv").write_text("age\n1.234\n")
    written = TableSpec(columns=(NumberColumn(name="age", notation="1.234,5"),))
    assert items("a.csv", TABLE) == [("a.csv#0", {"age": "1.234"})]
    assert items("a.csv", written) == [("a.csv#0", {"age": "1234"})]


def test_rows_come_as_json_lines_from_standard_input_or_as_one_word(monkeypatch):
    data = io.BytesIO(b'{"age": 3}\n{"color": "red"}\n')
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data))
    found = [item for _, item in items("-", TABLE)]
    assert found == [{"age": 3}, {"color": "red"}]
    assert items('{"age": 3}', TABLE) == [("row", '{"age": 3}')]


@pytest.mark.timeout(10)
def test_very_many_columns_that_the_bundle_does_not_know_are_told_at_once(monkeypatch, capsys):
    names = [f"n{number}" for number in range(10_000)]
    spec = TableSpec(columns=tuple(NumberColumn(name=name) for name in names))
    row = dict.fromkeys([*names[1:], *(f"other {number}" for number in range(40_000))], 1)
    data = io.BytesIO(json.dumps(row).encode() + b"\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data))
    ((_, found),) = items("-", spec)
    assert found == dict.fromkeys(names[1:], 1)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "standard input: without 'n0', taken as missing"
    assert "and 39992 more, which the bundle does not use" in told[1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x,y\n1,2\n", "none of the bundle's columns"),
        ("a.xlsx", "x", "not a table"),
        ("a.csv", None, "there is no file"),
        ("a" * 300, None, "there is no file"),
        ("a.csv", "\udcff\udcfea", "cannot be read as CSV"),
    ],
)
def test_tables_that_cannot_be_used_are_one_line(place, name, content, message):
    if content is not None:
        (place / name).write_text(content, errors="surrogateescape")
    with pytest.raises(DataError, match=message):
        items(name, TABLE)


def test_a_column_of_texts_is_for_texts_only():
    with pytest.raises(ConfigError, match="--column"):
        open_inputs(["a.csv"], TABLE, "text")


@pytest.mark.parametrize("goal", ["classification", "multi-label", "regression"])
@pytest.mark.parametrize("kind", ["audio", "text", "table"])
def test_the_verb_gives_what_the_api_gives(kind_bundle, place, capsys, kind, goal):
    made = kind_bundle(kind, goal)
    with load(made.path) as bundle:
        if kind == "text":
            words, expected = ["so good", "so bad"], bundle.predict(["so good", "so bad"])
        elif kind == "table":
            rows = [{"age": 3, "color": "red", "day": "2001-02-03"}, {"age": None}]
            (place / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
            words, expected = ["a.jsonl"], bundle.predict(rows)
        else:
            header = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0"
            rate = b"\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data"
            content = made.inputs[0].tobytes()
            (place / "a.wav").write_bytes(
                header + rate + len(content).to_bytes(4, "little") + content
            )
            words, expected = ["a.wav"], [bundle.predict(made.inputs[0])]
    assert run(["predict", str(made.path), *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == len(expected)
    for row, answer in zip(found, expected, strict=True):
        assert row.get("scores", {}) == pytest.approx(answer.scores)
        assert row.get("value") == pytest.approx(answer.value)
        assert row.get("label", "") == answer.label
    assert run(["predict", str(made.path), *words, "--out", "a.csv"]) == 0
    assert len((place / "a.csv").read_text().splitlines()) == len(expected) + 1


def test_a_wrong_row_is_named_and_can_be_left_out(kind_bundle, place, capsys):
    path = str(kind_bundle("table").path)
    (place / "a.csv").write_text("age\n1\nold\n3\n")
    assert run(["predict", path, "a.csv"]) == 2
    error, hint = capsys.readouterr().err.splitlines()[-2:]
    assert "a.csv#1: column 'age': 'old' is not a number" in error
    assert hint == "hint: give a number such as 3.5; --skip-unreadable leaves it out"
    assert run(["predict", path, "a.csv", "--skip-unreadable"]) == 0
    seen = capsys.readouterr()
    assert [line.split("\t")[0] for line in seen.out.splitlines()] == ["a.csv#0", "a.csv#2"]
    assert "skipped: a.csv#1" in seen.err
