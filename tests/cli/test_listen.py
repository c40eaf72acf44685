"""`diptych predict --stream`."""

import json
import subprocess
import sys

import numpy as np
import pytest

from diptych.cli.main import run
from diptych.inference.bundle import load


@pytest.fixture
def recording(tmp_path):
    samples = np.random.default_rng(3).integers(-9000, 9000, 10_000).astype("<i2")
    path = tmp_path / "sound.raw"
    path.write_bytes(samples.tobytes())
    return path, samples


def test_a_line_is_printed_for_every_decision(kind_bundle, recording, capsys):
    bundle, (path, samples) = str(kind_bundle("audio").path), recording
    assert run(["predict", bundle, "--stream", str(path), "--hop", "0.25"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert run(["predict", bundle, "--stream", str(path), "--hop", "0.25", "--json"]) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    with load(bundle) as model:
        decisions = model.stream(hop_s=0.25).feed(samples)
    assert len(rows) == len(documents) == len(decisions) == 5
    for row, document, decision in zip(rows, documents, decisions, strict=True):
        assert row[:2] == [f"{decision.time_s:.3f}", decision.prediction.label]
        assert document.keys() == {"time_s", "label", "score", "scores"}
        assert document["scores"] == decision.prediction.scores


def test_with_a_threshold_only_detections_are_told(kind_bundle, recording, capsys):
    bundle, (path, samples) = str(kind_bundle("audio").path), recording
    words = ["predict", bundle, "--stream", str(path), "--threshold", "0.4", "--rate", "16000"]
    assert run([*words, "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    with load(bundle) as model:
        expected = model.stream(threshold=0.4, rate=16_000).events(samples)
    assert [(row["time_s"], row["label"], row["score"]) for row in found] == [
        (one.time_s, one.label, one.score) for one in expected
    ]
    assert len(found) > 0


@pytest.mark.parametrize("goal", ["multi-label", "regression"])
def test_each_goal_has_its_line(kind_bundle, recording, capsys, goal):
    words = ["predict", str(kind_bundle("audio", goal).path), "--stream", str(recording[0])]
    assert run([*words, "--hop", "1"]) == 0
    time, answer = capsys.readouterr().out.rstrip("\n").split("\t")
    assert time == "1.000"
    assert goal != "regression" or float(answer) == pytest.approx(float(answer))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hop", "0"], "a hop of 0 s"),
        (["--rate", "7"], "a rate of 7"),
        (["--threshold", "1.5"], "threshold 1.5"),
    ],
)
def test_mistakes_are_one_line_and_a_hint(kind_bundle, recording, capsys, words, message):
    bundle = str(kind_bundle("audio").path)
    assert run(["predict", bundle, "--stream", str(recording[0]), *words]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert message in seen.err
    assert run(["predict", bundle, "--stream", "absent.raw"]) == 2
    assert "absent.raw cannot be read: no such file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_pipe_is_decided_as_it_comes(kind_bundle, recording):
    words = ["predict", str(kind_bundle("audio").path), "--stream", "-", "--hop", "0.25"]
    command = [sys.executable, "-m", "diptych", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(recording[1][:2500].tobytes())
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"0.250\t")
        process.stdin.write(recording[1][2500:].tobytes())
        process.stdin.close()
        assert len(process.stdout.read().splitlines()) == 4
        assert process.wait(30) == 0
