"""Texts of any sort: told in one line or handled, in training, in `predict` and over HTTP."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from diptych.cli.main import run
from diptych.inference.bundle import Bundle, load
from diptych.serving.app import Application
from diptych.serving.body import Limits

MEDIA, JSON = b"text/plain", b"application/json"
TEN_MB = 10_000_000


@pytest.fixture(scope="module")
def model(kind_bundle) -> Iterator[Bundle]:
    with load(kind_bundle("text").path) as opened:
        yield opened


@pytest.fixture(scope="module")
def post(model) -> Callable[..., tuple[int, dict]]:
    app = Application({"texts": model}, Limits(max_body_bytes=2 * TEN_MB))

    def post(body: bytes, media: bytes = MEDIA) -> tuple[int, dict]:
        sent: list[dict] = []

        async def receive() -> dict:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict) -> None:
            sent.append(message)

        headers = [(b"content-type", media)]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
        asyncio.run(app(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])

    return post


ANY = {
    "nothing": "",
    "blanks": " \t ",
    "emoji": "so 👍🏽 🏳️‍🌈 good",
    "right to left": "שלום עליכם مرحبا",
    "10 MB": "so good " * (TEN_MB // 8),
    "10 MB without a blank": "a" * TEN_MB,
    "a control character": "so\0good",
    "combined letters": "e\u0301" * 40,
}


@pytest.mark.parametrize("text", ANY.values(), ids=ANY)
def test_any_text_has_the_same_answer_everywhere(model, post, tmp_path, capsys, monkeypatch, text):
    expected = pytest.approx(model.predict(text).scores)
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert run(["predict", str(model.path), str(tmp_path / "a.txt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["scores"] == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{text}\n".encode())))
    assert run(["predict", str(model.path), "-", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["scores"] == expected
    assert len(answer["input"]) <= 256
    assert post(text.encode())[1]["scores"] == expected
    assert post(json.dumps(text).encode(), JSON)[1]["scores"] == expected


def test_an_empty_word_is_an_empty_text_not_the_folder(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("so good")
    assert run(["predict", str(model.path), "", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["scores"] == pytest.approx(model.predict("").scores)


NOT_UTF_8 = {
    "Latin-1": "a café".encode("latin-1"),
    "Latin-1 inside": "a café so good".encode("latin-1"),
    "UTF-16": "so good".encode("utf-16"),
    "half a surrogate pair": b"\xed\xa0\x80",
}


@pytest.mark.parametrize("content", NOT_UTF_8.values(), ids=NOT_UTF_8)
def test_another_encoding_is_the_same_line_everywhere(
    model, post, tmp_path, capsys, monkeypatch, content
):
    (tmp_path / "a.txt").write_bytes(content)
    assert run(["predict", str(model.path), str(tmp_path / "a.txt")]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert "a.txt is not UTF-8 (byte 0x" in error
    assert "save it as UTF-8" in hint
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert run(["predict", str(model.path), "-"]) == 2
    assert "line 1 of standard input is not UTF-8" in capsys.readouterr().err
    status, answer = post(content)
    assert status == 422
    assert "the text is not UTF-8 (byte 0x" in answer["error"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"[]", 422, "the list is empty"),
        (b"5", 422, "got `int`"),
        (b'{"txt": "a"}', 422, "unknown field `txt`"),
        (b'["a", null]', 422, "got `null`"),
        (b'"half', 400, "not JSON"),
        (b'"' + b"a" * (2 * TEN_MB) + b'"', 413, "larger than"),
    ],
)
def test_a_body_that_is_no_text_is_told(post, body, status, words):
    found, answer = post(body, JSON)
    assert (found, set(answer)) == (status, {"error", "hint"})
    assert words in answer["error"]


@pytest.mark.slow
def test_words_that_utf_8_cannot_hold_are_spelled(model):
    words = [sys.executable, "-m", "diptych", "predict", str(model.path), b"so \xff good"]
    for options in ([], ["--json"]):
        done = subprocess.run(
            [*words, *options], capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"so \\" in done.stdout


def table(texts: list[str]) -> str:
    rows = [f'"{text}",{"ab"[row * 7 % 5 < 2]}\n' for row, text in enumerate(texts)]
    return "text,label\n" + "".join(rows)


def said(row: int) -> str:
    return f"this film is number {row} of many"


LEARNED = {
    "some empty": (table([said(row) if row % 5 else "" for row in range(60)]), "texts are empty"),
    "emoji and right to left": (table([f"👍🏽 שלום {n} مرحبا" for n in range(60)]), "text-class"),
    "10 MB": (
        table([*map(said, range(60)), "so good " * (TEN_MB // 8)]),
        "1 training texts are longer than 256 word pieces and are cut",
    ),
    "two labels": (table([said(n // 2) for n in range(60)]), "occur with different labels"),
    "Latin-1": (table([said(n) + " é" for n in range(60)]).encode("latin-1"), "as Latin-1"),
    "UTF-16": (table(list(map(said, range(60)))).encode("utf-16"), "text-classification"),
}


@pytest.mark.parametrize(("content", "words"), LEARNED.values(), ids=LEARNED)
def test_odd_texts_are_learned_from_and_said(tmp_path, capsys, content, words):
    file = tmp_path / "a.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert run(["inspect", str(file)]) == 0
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", table([""] * 60), "no cell holds anything"),
        ("a.txt", "so good\nso bad\n", "save the table as CSV"),
        ("a.csv", table([said(row) + "\0" for row in range(60)]), "is not text"),
    ],
)
def test_texts_that_cannot_be_learned_from_are_told(tmp_path, capsys, name, content, words):
    (tmp_path / name).write_text(content)
    assert run(["inspect", str(tmp_path / name)]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    lines = [line for line in seen.err.splitlines() if ": done in" not in line]
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert words in seen.err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "a,b,c\nx,y,z\n", "which column is the text?"),
        ("a.jsonl", '{"text": "a"}\n{"text"\n', "line 2 of"),
        ("a.csv", "text,text\na,b\n", "has 2 columns 'text'"),
        ("a.csv", "", "it is empty"),
    ],
)
def test_tables_of_texts_that_cannot_be_predicted_are_told(
    model, tmp_path, capsys, name, content, words
):
    (tmp_path / name).write_text(content)
    assert run(["predict", str(model.path), str(tmp_path / name)]) == 2
    assert words in capsys.readouterr().err
