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
[[students]]
name = "student"
[students.network]
name = "residual"
stem = 8
widths = [8]
blocks = [0]
[students.training]
epochs = 2
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
    assert {c["runtime"] for c in manifest["candidates"]} == {"onnxruntime", "openvino"}
    assert {c["precision"] for c in manifest["candidates"]} == {"fp32", "int8"}
    assert sorted(p.name for p in work.iterdir()) == ["digits.dip", "tiny.toml"]
    assert list(home.rglob("*")) == []
