"""The code blocks of docs/predicting.md run as they stand."""

import re
import subprocess
import sys
import wave
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "predicting.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory, kind_bundle) -> Path:
    folder = tmp_path_factory.mktemp("predicting")
    bundles = {
        "words": kind_bundle("audio"),
        "reviews": kind_bundle("text", "multi-label"),
        "houses": kind_bundle("table", "regression"),
    }
    for name, bundle in bundles.items():
        (folder / f"{name}.dip").symlink_to(bundle.path)
    (folder / "sound.raw").write_bytes(b"\x10\x20" * 9000)
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\x10\x20" * 9000)
    (folder / "reviews.csv").write_text("id,text\n1,so good\n2,so bad\n")
    (folder / "houses.csv").write_text("age,color,day\n39,red,2001-02-03\n")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("sh"))
def test_a_command_of_the_document_runs(block, place):
    command = re.sub(r"\bdiptych predict", f"{sys.executable} -m diptych predict", block)
    done = subprocess.run(["sh", "-c", command], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout or (place / "prices.csv").read_text().startswith("input,value\nhouses.csv#0")


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_of_the_document_runs(block, place):
    done = subprocess.run([sys.executable, "-c", block], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_document_has_code():
    assert (len(blocks("sh")), len(blocks("python"))) == (5, 2)
