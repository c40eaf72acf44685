"""The code blocks of docs/serving.md run as they stand against a real server."""

import json
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serving.md").read_text()
ADDRESS = "127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def address(start, tiny: Path, kind_bundle) -> str:
    sound, text = kind_bundle("audio").path, kind_bundle("text", "multi-label").path
    rows = kind_bundle("table", "regression").path
    names = (f"digits={tiny}", f"words={sound}", f"reviews={text}", f"houses={rows}")
    return start(*names).address


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    Image.new("RGB", (30, 20), (200, 10, 10)).save(folder / "picture.png")
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setparams((2, 2, 11_025, 0, "NONE", ""))
        file.writeframes(b"\x10\x20" * 9000)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("block", blocks("sh"))
def test_a_command_of_the_document_is_answered(block, address, place):
    command = block.replace(ADDRESS, address)
    done = subprocess.run(["sh", "-c", command], cwd=place, capture_output=True, check=True)
    keys = {"reviews": {"labels", "scores"}, "houses": {"value"}}
    (name,) = re.findall(r"/v1/(\w+)/predict", block)
    assert set(json.loads(done.stdout)) == keys.get(name, {"label", "score", "scores"})


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_of_the_document_runs(block, address):
    code = block.replace(ADDRESS, address)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\[\[", done.stdout)) == 2


def test_the_document_has_code():
    assert len(blocks("sh")) == 5
    assert len(blocks("python")) == 1
