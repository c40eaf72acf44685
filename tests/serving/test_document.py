"""The code blocks of docs/serving.md run as they stand against a real server."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serving.md").read_text()
ADDRESS = "127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def address(start, tiny: Path) -> str:
    return start(f"digits={tiny}").address


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("block", blocks("sh"))
def test_a_command_of_the_document_is_answered(block, address, tmp_path):
    Image.new("RGB", (30, 20), (200, 10, 10)).save(tmp_path / "picture.png")
    command = block.replace(ADDRESS, address)
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    assert set(json.loads(done.stdout)) == {"label", "score", "scores"}


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_of_the_document_runs(block, address):
    code = block.replace(ADDRESS, address)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\[\[", done.stdout)) == 2


def test_the_document_has_code():
    assert len(blocks("sh")) == 2
    assert len(blocks("python")) == 1
