"""The main job opens no connection and leaves nothing behind outside its bundle."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
[teacher]
name = "teacher"
[teacher.network]
name = "residual"
stem = 8
widths = [16]
blocks = [0]
[teacher.training]
epochs = 2
learning_rate = 0.15
[[students]]
name = "student"
[students.network]
name = "residual"
stem = 8
widths = [8]
blocks = [0]
[students.training]
epochs = 2
learning_rate = 0.15
"""
GUARDED = """
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError(f"a connection was tried: {args}")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
from diptych.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


TEXT_RECIPE = """
[teacher]
name = "teacher"
[teacher.network]
name = "ngrams"
[teacher.training]
learning_rate = 0.15
[[students]]
name = "student"
[students.network]
name = "ngrams"
buckets = 256
[students.training]
epochs = 10
batch_size = 16
learning_rate = 0.15
[[programs]]
runtime = "onnxruntime"
precision = "fp32"
"""


@pytest.mark.slow
def test_a_fit_works_with_sockets_blocked_and_an_empty_home(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (work / "tiny.toml").write_text(RECIPE)
    words = ["fit", "digits", "--recipe", "tiny.toml", "--json", "--budget", "p99<=1s"]
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, *words],
        cwd=work,
        env=os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((work / "digits.dip" / "bundle.json").read_text())
    assert {c["runtime"] for c in manifest["candidates"]} >= {"onnxruntime", "openvino"}
    assert {c["precision"] for c in manifest["candidates"]} == {"fp32", "int8"}
    assert sorted(p.name for p in work.iterdir()) == ["digits.dip", "tiny.toml"]
    assert list(home.rglob("*")) == []


@pytest.mark.slow
def test_a_given_teacher_is_read_with_sockets_blocked_and_an_empty_home(
    encoder_folder: Path, tmp_path: Path
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (work / "tiny.toml").write_text(TEXT_RECIPE)
    rows = [f"film {n} was {word} indeed,{word}" for n in range(40) for word in ("good", "bad")]
    (work / "said.csv").write_text("\n".join(["text,label", *rows]))
    words = ["fit", "said.csv", "--recipe", "tiny.toml", "--json", "--budget", "p99<=1s"]
    words += ["--teacher", str(encoder_folder), "--out", "said.dip"]
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, *words],
        cwd=work,
        env=os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    told = json.loads(done.stdout)
    assert told["teacher"]["parameters"] > 10_000
    assert told["model"]["name"] == "student"
    assert sorted(p.name for p in work.iterdir()) == ["said.csv", "said.dip", "tiny.toml"]
    assert list(home.rglob("*")) == []
