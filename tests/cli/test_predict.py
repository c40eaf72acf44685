"""`diptych predict`."""

import csv
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from diptych.cli.main import run
from diptych.inference.bundle import load


@pytest.fixture
def picture_folder(tiny, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, pixels in enumerate(tiny.inputs):
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def expected(tiny, tiny_bundle):
    with load(tiny_bundle) as bundle:
        return bundle.predict(tiny.inputs)


def test_json_is_one_list_with_the_answers_of_the_api(
    tiny_bundle, picture_folder, expected, capsys
):
    one = str(picture_folder / "0.png")
    assert run(["predict", str(tiny_bundle), str(picture_folder), one, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["label"] for row in rows] == [row.label for row in (*expected, expected[0])]
    assert rows[-1]["input"] == one
    assert rows[0].keys() == {"input", "label", "score", "scores"}
    assert rows[0]["scores"] == pytest.approx(expected[0].scores)


def test_plain_lines_hold_input_label_and_score(tiny_bundle, picture_folder, expected, capsys):
    assert run(["predict", str(tiny_bundle), str(picture_folder)]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[1] for row in rows] == [row.label for row in expected]
    assert float(rows[0][2]) == pytest.approx(expected[0].score, abs=1e-4)


def test_a_picture_comes_from_standard_input(
    tiny_bundle, picture_folder, expected, capsys, monkeypatch
):
    data = io.BytesIO((picture_folder / "1.png").read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data))
    assert run(["predict", str(tiny_bundle), "-", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert (row["input"], row["label"]) == ("-", expected[1].label)


def test_files_hold_the_same_answers(tiny_bundle, picture_folder, expected, tmp_path, capsys):
    for name in ("a.csv", "a.jsonl"):
        out = str(tmp_path / name)
        assert run(["predict", str(tiny_bundle), str(picture_folder), "--out", out]) == 0
    assert capsys.readouterr().out == ""
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    for row, line, answer in zip(rows, map(json.loads, lines), expected, strict=True):
        assert row["label"] == line["label"] == answer.label
        assert line["scores"] == pytest.approx(answer.scores)
        assert float(row[f"score:{answer.label}"]) == pytest.approx(answer.score)


def test_with_out_json_says_what_was_written(tiny_bundle, picture_folder, tmp_path, capsys):
    (picture_folder / "9.png").write_text("text")
    out = str(tmp_path / "a.csv")
    arguments = ["predict", str(tiny_bundle), str(picture_folder), "--out", out, "--json"]
    assert run([*arguments, "--skip-unreadable"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["out"], document["num_predictions"]) == (out, 4)
    assert [item["item"] for item in document["skipped"]] == [str(picture_folder / "9.png")]


def test_an_unreadable_picture_stops_it_and_leaves_an_earlier_file_whole(
    tiny_bundle, picture_folder, tmp_path, capsys
):
    (picture_folder / "9.png").write_text("text")
    out = tmp_path / "a.csv"
    out.write_text("earlier")
    assert run(["predict", str(tiny_bundle), str(picture_folder), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "9.png" in error
    assert "--skip-unreadable" in error
    assert out.read_text() == "earlier"
    assert not list(tmp_path.glob(".a.csv*"))


def test_unreadable_pictures_are_counted_when_they_are_skipped(tiny_bundle, picture_folder, capsys):
    for index in range(8):
        (picture_folder / f"bad{index}.png").write_text("text")
    assert run(["predict", str(tiny_bundle), str(picture_folder), "--skip-unreadable"]) == 0
    seen = capsys.readouterr()
    assert len(seen.out.splitlines()) == 4
    assert seen.err.count("skipped") == 5
    assert "and 3 more" in seen.err


def test_nothing_readable_is_an_error_even_when_skipping(tiny_bundle, tmp_path, capsys):
    (tmp_path / "a.png").write_text("text")
    arguments = ["predict", str(tiny_bundle), str(tmp_path / "a.png"), "--skip-unreadable"]
    assert run(arguments) == 2
    assert "none of the 1 inputs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such.png"], "there is no file or folder"),
        (["empty"], "empty holds no .jpg"),
        (["a.png", "--out", "a.xlsx"], "cannot write"),
        (["a.png", "--out", "no/such/a.csv"], "cannot write"),
        (["a.png", "--runtime", "openvin"], "unknown runtime"),
        ([], "nothing to predict"),
        (["a.png", "--stream", "-"], "or two things"),
        (["--stream", "-"], "takes image"),
        (["--stream", "-", "--out", "a.csv"], "--out a.csv is not for --stream"),
        (["--stream", "-", "--column", "text"], "--column text is not for --stream"),
        (["--stream", "-", "--skip-unreadable"], "--skip-unreadable is not for --stream"),
        (["a.png", "--rate", "8000"], "--rate 8000 is for --stream, which is not given"),
        (["a.png", "--hop", "0.1"], "--hop 0.1 is for --stream"),
        (["a.png", "--threshold", "0.0"], "--threshold 0.0 is for --stream"),
        (["a.png", "--column", "text"], "takes none"),
    ],
)
def test_mistakes_are_one_line_and_a_hint(
    tiny_bundle, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("a.png")
    assert run(["predict", str(tiny_bundle), *arguments]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert message in seen.err
    assert len(seen.err.splitlines()) <= 2
    assert "Traceback" not in seen.err


def test_a_damaged_bundle_is_one_line(tiny_bundle, picture_folder, capsys):
    (tiny_bundle / "model.onnx").write_bytes(os.urandom(10))
    assert run(["predict", str(tiny_bundle), str(picture_folder)]) == 2
    assert capsys.readouterr().err.startswith("error: 'model.onnx' is not of the size")
