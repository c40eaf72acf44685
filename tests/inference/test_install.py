"""The base install alone predicts: no torch, no pyarrow, no second runtime."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from msgspec import structs
from PIL import Image

from diptych.inference import store

ROOT = Path(__file__).parents[2]
ABSENT = ("torch", "pyarrow", "sklearn", "openvino", "onnx", "safetensors")

PREDICT = """
import importlib.util, json, sys
import diptych
with diptych.load(sys.argv[1]) as bundle:
    answer = bundle.predict(sys.argv[2])
absent = [name for name in sys.argv[3:] if importlib.util.find_spec(name) is None]
print(json.dumps([answer.label, answer.scores, bundle.program.runtime, absent]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """Make a virtual environment with the base install and give its interpreter."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", str(ROOT)]
    subprocess.run(command, check=True, env=clean_environment(), cwd=folder)
    return python


def clean_environment() -> dict[str, str]:
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


@pytest.fixture
def openvino_first(tiny, tmp_path):
    """Write a bundle whose first program needs a runtime that the base install lacks."""
    manifest = structs.replace(tiny.manifest, programs=tiny.manifest.programs[::-1])
    store.write(tmp_path / "tiny.dip", manifest, tiny.contents)
    Image.fromarray(tiny.inputs[0]).save(tmp_path / "a.png")
    return tmp_path


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=clean_environment(), cwd=folder
    )


@pytest.mark.install
@pytest.mark.skipif(sys.platform == "win32", reason="the interpreter is elsewhere")
def test_the_api_and_the_command_line_predict_with_the_base_install(tiny, openvino_first, python):
    label = tiny.manifest.labels[tiny.logits(tiny.inputs)[0].argmax()]
    done = run(openvino_first, python, "-c", PREDICT, "tiny.dip", "a.png", *ABSENT)
    found, scores, runtime, absent = json.loads(done.stdout)
    assert (found, runtime, tuple(absent)) == (label, "onnxruntime", ABSENT)
    assert "openvino is not installed" in done.stderr
    command = [python.with_name("diptych"), "predict", "tiny.dip", "a.png", "--json"]
    row = json.loads(run(openvino_first, *command).stdout)[0]
    assert row["label"] == label
    assert row["scores"] == pytest.approx(scores)
