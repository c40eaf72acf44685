"""What users do wrong with tables: one clear line, or a stated handling, wherever it is read."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diptych.cli.main import run

HEADER = ["age", "color", "day", "label"]
Change = Callable[[int, list[str]], list[str]]


def cells(row: int) -> list[str]:
    label = "yes" if row * 7 % 5 < 2 else "no"
    day = f"2024-{row % 12 + 1:02d}-{row % 28 + 1:02d}"
    return [f"{row * 7 % 50 + row / 100:.2f}", "rgb"[row % 3], day, label]


def table(change: Change = lambda _, row: row, rows: int = 100, separator: str = ",") -> str:
    lines = [HEADER, *(change(row, cells(row)) for row in range(rows))]
    return "\n".join(separator.join(line) for line in lines) + "\n"


def column(name: str, write: Callable[[int, str], str]) -> Change:
    """Give what writes one column anew."""
    place = HEADER.index(name)
    return lambda row, line: [*line[:place], write(row, line[place]), *line[place + 1 :]]


def header(names: str) -> str:
    return table().replace(",".join(HEADER), names, 1)


def told(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """Run a command, which must end so, in a few lines and without a traceback; give its lines."""
    assert run(list(words)) == code
    seen = capsys.readouterr()
    assert "Traceback" not in seen.err
    assert "defect" not in seen.err
    if code:
        lines = [line for line in seen.err.splitlines() if ": done in" not in line]
        assert seen.out == ""
        assert [line.split(":")[0] for line in lines] == ["error", "hint"]
        return "\n".join(lines)
    return seen.out + seen.err


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


REFUSED = {
    "ragged rows": (table() + "1,r\n5,r,x,yes,2\n", "row 102 has 2, row 103 has 5"),
    "colons": (table(separator=":"), "seems to be separated by colons"),
    "blanks": (table(separator=" "), "one column only"),
    "a title above": ("Sales\n" + table(), "nothing above the header"),
    "a line for Excel": ("sep=;\n" + table(separator=";"), "a mark for Excel"),
    "no target": (header("age,color,day,answer"), "--label 'answer'"),
    "no header": ("1,2,3\n" * 50, "has no header: its first line is 1, 2, 3"),
    "a header twice over": (header("age,age,day,label"), "has 2 columns 'age'"),
    "a header again": (table() + table(), "has its header again in row 102"),
    "a header alone": ("a,label\n", "a header and no rows"),
    "nothing": ("", "is empty"),
    "half a quote": (table() + '1,"r,2024-01-01,yes\n', "double quotes"),
    "not text": (table() + "\0", "is not text"),
    "one class": (table(column("label", lambda *_: "yes")), "one class only, 'yes'"),
    "blank labels": (
        table(column("label", lambda row, word: word if row % 9 else "")),
        "12 of 100 labels are missing in the train split, the first is that of a.csv#0",
    ),
    "a rare class": (
        table(column("label", lambda row, word: word if row else "maybe")),
        "class 'maybe' has 1 item",
    ),
    "infinity among numbers": (
        table(column("label", lambda row, _: f"{row * 0.37:.2f}" if row else "inf")),
        "label 'inf' of a.csv#0 is not a finite number",
    ),
    "a label too large": (
        table(column("label", lambda row, _: f"{row * 0.37:.2f}" if row else "1e39")),
        "label '1e39' of a.csv#0 is not a finite number",
    ),
    "two texts": (
        "title,body,label\n"
        + "".join(f"a title {n} of it,a body {n} of it,{'ab'[n % 2]}\n" for n in range(60)),
        "to learn from it, keep only it and the label",
    ),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED)
def test_a_table_that_cannot_be_learned_from_is_told(place, capsys, content, words):
    (place / "a.csv").write_text(content)
    assert words in told(capsys, 2, "inspect", "a.csv")


ASKED = {
    "a target that is absent": (("--label", "lable"), "did you mean 'label'?"),
    "numbers of words": (("--task", "regression"), "'yes' of a.csv#0 is not a finite number"),
    "an order of words": (("--task", "ordinal"), "--order no,yes"),
    "half an order": (("--order", "yes"), "class 'no' is in the train split but not in the order"),
    "an order of classes": (("--task", "classification", "--order", "no,yes"), "has no order"),
    "a task that is absent": (("--task", "clasification"), "did you mean 'classification'?"),
}


@pytest.mark.parametrize("verb", ["inspect", "fit"])
@pytest.mark.parametrize(("words", "answer"), ASKED.values(), ids=ASKED)
def test_what_cannot_be_asked_for_is_told(place, capsys, verb, words, answer):
    (place / "a.csv").write_text(table())
    assert answer in told(capsys, 2, verb, "a.csv", *words)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("mae<=1", "limit accuracy, f1, auroc, drop"),
        ("r2>=0.5", "limits r2, which this data has not"),
        ("acuracy>=0.9", "did you mean 'accuracy'?"),
        ("accuracy<=0.9", "accuracy is limited with >="),
    ],
)
def test_a_budget_of_another_goal_is_told_before_training(place, capsys, budget, words):
    (place / "a.csv").write_text(table())
    assert words in told(capsys, 2, "fit", "a.csv", "--budget", budget)


HANDLED = {
    "a mark of UTF-8": ("\ufeff" + table(), "table-classification, 2 classes"),
    "blank lines above": ("\n\n" + table(), "2 classes"),
    "UTF-16": (table().encode("utf-16"), "2 classes"),
    "Latin-1": (table().replace(",r,", ",é,").encode("latin-1"), "was read as Latin-1"),
    "a label in capitals": (header("age,color,day,Label"), "2 classes"),
    "a column without name": (header("age,,day,label"), "column 2 of a.csv has no name"),
    "one value": (table(column("color", lambda *_: "r")), "'color': all cells are 'r'"),
    "one number": (table(column("age", lambda *_: "7")), "'age': all cells are 7"),
    "blanks only": (table(column("age", lambda *_: "")), "'age': no cell holds anything"),
    "infinities": (
        table(column("age", lambda row, word: word if row % 9 else "-inf")),
        "12 infinite cells are taken as missing",
    ),
    "a number too large": (
        table(column("age", lambda row, word: word if row else "1e999")),
        "1 infinite cells are taken as missing",
    ),
    "a leak": (table(lambda _, row: [row[0], row[3] + "!", *row[2:]]), "may give the label away"),
    "dates that could be two": (
        table(column("day", lambda row, _: f"{row % 12 + 1:02d}/{row % 11 + 1:02d}/2024")),
        "is read in the form '31/01/2000', though '01/31/2000' would fit too",
    ),
    "labels with blanks around": (
        table(column("label", lambda row, word: word + " " * (row % 3))),
        "2 classes",
    ),
    "labels in capitals": (
        table(column("label", lambda row, word: word.upper() if row % 3 else word)),
        "'NO' and 'no' differ in capitals or blanks only",
    ),
    "Excel's decimals": (
        table(column("age", lambda _, word: word.replace(".", ",")), separator=";"),
        "is read as 0.00",
    ),
    "percents": (
        table(column("age", lambda row, _: f"{row % 9}%")),
        "is taken as a word; write plain numbers",
    ),
    "several labels in one": (
        table(column("label", lambda row, word: "yes|no" if row % 3 else word)),
        "'yes|no' is one label; with --task multi-label, each part is one",
    ),
    "numbers in quotes": (table(column("age", lambda _, word: f'"{word}"')), "age: numbers"),
    "text beside": (
        table(column("color", lambda row, _: f"a film with a number {row}")),
        "'color': text is not used beside other columns",
    ),
}


@pytest.mark.parametrize(("content", "words"), HANDLED.values(), ids=HANDLED)
def test_what_is_odd_about_a_table_is_handled_and_said(place, capsys, content, words):
    (place / "a.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert words in told(capsys, 0, "inspect", "a.csv")


def test_blank_cells_are_no_label_where_several_are_asked_for(place, capsys):
    content = table(column("label", lambda row, _: ["a|b", "a", "b|c", ""][row % 4]))
    (place / "a.csv").write_text(content)
    seen = told(capsys, 0, "inspect", "a.csv", "--task", "multi-label")
    assert "table-multi-label, 3 " in seen


@pytest.mark.parametrize("every", [2, 5])
def test_dates_in_two_forms_are_read_in_the_usual_one_and_the_others_named(place, capsys, every):
    def write(row: int, day: str) -> str:
        return "/".join(reversed(day.split("-"))) if row % every == 0 else day

    (place / "a.csv").write_text(table(column("day", write)))
    seen = told(capsys, 0, "inspect", "a.csv")
    assert f"{100 // every} of 100 rows cannot be read" in seen
    assert "a.csv#0 column 'day': '01/01/2024' is not a date such as 2000-01-31" in seen
    assert "would fit too" not in seen
    seen = told(capsys, 2, "fit", "a.csv")
    assert "'01/01/2024' is not a date such as 2000-01-31" in seen
    assert "--skip-unreadable" in seen


def test_many_odd_columns_are_counted(place, capsys):
    names = [f"c{number}" for number in range(90)]
    lines = [",".join([*names, "d", "label"])]
    lines += [",".join([*["0"] * 90, str(row % 7), "ab"[row % 3 > 0]]) for row in range(60)]
    (place / "a.csv").write_text("\n".join(lines))
    seen = told(capsys, 0, "inspect", "a.csv")
    assert seen.count("all cells are 0") == 20
    assert "70 more columns are odd, 90 in all are not used" in seen


def test_a_split_of_which_nothing_can_be_read_is_told(place, capsys):
    (place / "train.csv").write_text(table())
    (place / "test.csv").write_text(table(column("age", lambda *_: "old")))
    seen = told(capsys, 2, "inspect", ".")
    assert "no item of the test split can be read: test.csv#0 column 'age': 'old' is not" in seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "words"),
    [(100_000, "100,000 different words"), (200_000, "4,096 of 100,000 words are kept")],
)
def test_a_hundred_thousand_categories_are_bounded(place, capsys, rows, words):
    content = table(column("color", lambda row, _: f"w{row % 100_000}"), rows)
    (place / "a.csv").write_text(content)
    assert words in told(capsys, 0, "inspect", "a.csv")


FILES = {
    "an Excel file": ("a.xlsx", b"PK\3\4\0\0", "save the table as CSV"),
    "an Excel file as CSV": ("a.csv", b"PK\3\4\0\0", "begins with b'PK"),
    "a broken line": ("a.jsonl", b'{"a": 1, "label": 2}\n{"a": \n', "line 2 of a.jsonl"),
    "a broken list": ("a.json", b'[{"a": 1}, {"a"', "a.json: Input data was truncated"),
    "objects in cells": (
        "a.jsonl",
        b'{"a": {"b": 1}, "label": [1, 2]}\n' * 9 + b'{"label": [1]}\n' * 9,
        "struct<b",
    ),
    "no Parquet": ("a.parquet", b"PAR1 and so on", "cannot be read as Parquet"),
}


@pytest.mark.parametrize(("name", "content", "words"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_is_told(place, capsys, name, content, words):
    (place / name).write_bytes(content)
    assert words in told(capsys, 2, "inspect", name)


def test_parquet_without_the_column_names_the_nearest(place, capsys):
    pq.write_table(pa.table({"a": [1], "b": [2], "lable": [3]}), "a.parquet")
    assert "--label 'lable'" in told(capsys, 2, "inspect", "a.parquet")
    seen = told(capsys, 2, "inspect", "a.parquet", "--label", "label")
    assert "did you mean 'lable'?" in seen
