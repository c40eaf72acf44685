"""Rows that a bundle cannot use: the same line from `predict` and over HTTP, or one handling."""

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest

from diptych.cli.main import run
from diptych.inference.bundle import Bundle, load
from diptych.serving.app import Application
from diptych.serving.body import Limits


@pytest.fixture(scope="module")
def model(kind_bundle) -> Iterator[Bundle]:
    with load(kind_bundle("table").path) as opened:
        yield opened


@pytest.fixture
def predict(model, tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Give what predicts a file in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def predict(name: str, content: bytes = b"", *words: str) -> tuple[int, str, str]:
        if content:
            (tmp_path / name).write_bytes(content)
        code = run(["predict", str(model.path), name, *words])
        seen = capsys.readouterr()
        assert "Traceback" not in seen.err
        return code, seen.out, seen.err

    return predict


@pytest.fixture(scope="module")
def post(model) -> Callable[[bytes], tuple[int, dict]]:
    """Give what sends a row to a server."""
    app = Application({"rows": model}, Limits(max_body_bytes=10_000))

    def post(body: bytes) -> tuple[int, dict]:
        sent: list[dict] = []

        async def receive() -> dict:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
        asyncio.run(app(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])

    return post


WRONG = {
    "a word for a number": ({"age": "three"}, "column 'age': 'three' is not a number"),
    "another form of date": ({"day": "01/02/2024"}, "is not a date such as 2000-01-31"),
    "a date that is none": ({"day": "2024-02-30"}, "'2024-02-30' is not a date"),
    "an unknown column": ({"age": 3, "colour": "red"}, "did you mean 'color'?"),
    "no cell": ({}, "the row is empty"),
}


@pytest.mark.parametrize(("row", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_row_is_the_same_line_everywhere(predict, post, row, words):
    code, out, err = predict(json.dumps(row))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2
    assert words in err
    status, answer = post(json.dumps(row).encode())
    assert status == 422
    assert words in answer["error"] + answer["hint"]


SAME = {
    "a number as a string": ({"age": "3"}, {"age": 3}),
    "blanks around": ({"age": " 3 ", "color": " red"}, {"age": 3, "color": "red"}),
    "infinity is missing": ({"age": "-inf", "color": "red"}, {"color": "red"}),
    "what float32 cannot hold is missing": ({"age": 1e300, "color": "red"}, {"color": "red"}),
    "NA is missing": ({"age": "NA", "color": "n/a", "day": ""}, {"age": None}),
    "an unseen category is missing": ({"age": 3, "color": "mauve"}, {"age": 3}),
    "the label is not looked at": ({"age": 3, "price": 9}, {"age": 3}),
}


@pytest.mark.parametrize(("row", "plain"), SAME.values(), ids=SAME)
def test_an_odd_row_is_handled_the_same_everywhere(model, predict, post, row, plain):
    expected = model.predict(plain)
    code, out, _ = predict("a.jsonl", json.dumps(row).encode(), "--json")
    assert code == 0
    assert json.loads(out)[0]["scores"] == pytest.approx(expected.scores)
    status, answer = post(json.dumps(row).encode())
    assert status == 200
    assert answer["scores"] == pytest.approx(expected.scores)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"age": 1e999}', 422, "out of range"),
        (b'{"age": NaN}', 400, "not JSON"),
        (b'{"age": 3', 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b'{"age": [3]}', 422, "got `array`"),
        (b"[]", 422, "the list is empty"),
        (b'[{"age": 3}, {"age": "x"}]', 422, "item 1: column 'age': 'x' is not a number"),
        (b'{"age": "' + b"9" * 20_000 + b'"}', 413, "larger than"),
    ],
)
def test_a_body_that_is_no_row_is_told(post, body, status, words):
    found, answer = post(body)
    assert found == status
    assert words in answer["error"]
    assert set(answer) == {"error", "hint"}


ROWS = b"age,color,day\n3,red,2024-01-01\n"
REFUSED = {
    "ragged rows": ("a.csv", ROWS + b"3,red\n", "row 3 has 2 cells, the header 3"),
    "another separator": ("a.csv", ROWS.replace(b",", b":"), "it has 'age:color:day'"),
    "a header twice over": ("a.csv", b"age,age\n1,2\n", "has 2 columns 'age'"),
    "a header in capitals": ("a.csv", b"Age,color\n3,red\n", "no column 'age', but 'Age'"),
    "no header": ("a.csv", b"red,2024-01-01\n" * 2, "none of the bundle's columns"),
    "a line for Excel": ("a.csv", b"sep=;\nage;color\n3;red\n", "a mark for Excel"),
    "an Excel file": ("a.xlsx", b"PK\3\4", "save it as one of .csv"),
    "not text": ("a.csv", b"age\n\0\n", "is not a table in CSV"),
    "a blank file": ("a.csv", b"\n", "is not a table in CSV"),
    "a broken line": ("a.jsonl", b'{"age": 3, "color": "x", "day": null}\n{"age"', "line 2 of"),
    "no Parquet": ("a.parquet", b"PAR1", "cannot be read as Parquet"),
    "no file": ("absent.csv", b"", "there is no file 'absent.csv'"),
    "no name": ("", b"", "there is no file ''"),
}


@pytest.mark.parametrize(("name", "content", "words"), REFUSED.values(), ids=REFUSED)
def test_a_table_that_cannot_be_predicted_is_told(predict, name, content, words):
    code, _, err = predict(name, content)
    assert code == 2
    assert [line.split(":")[0] for line in err.splitlines()] == ["error", "hint"]
    assert words in err


TOLD = {
    "a column more": (ROWS.replace(b"\n", b",zip\n"), "passed over 'zip', which the bundle"),
    "a column less": (b"age,color\n3,red\n", "without 'day', taken as missing"),
    "no rows": (b"age,color,day\n", "nothing was predicted"),
}


@pytest.mark.parametrize(("content", "words"), TOLD.values(), ids=TOLD)
def test_what_makes_answers_doubtful_is_said(predict, content, words):
    code, _, err = predict("a.csv", content)
    assert code == 0
    assert words in err


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + ROWS,
        ROWS.decode().encode("utf-16"),
        b"\n\r\n" + ROWS,
        ROWS.replace(b",", b";").replace(b"3;", b"3,0;"),
        ROWS.replace(b",", b"\t"),
    ],
)
def test_one_table_written_in_many_ways_gives_one_answer(predict, content):
    assert predict("b.csv", content)[1].split()[1:] == predict("a.csv", ROWS)[1].split()[1:]
