"""Networks of timm by name and from folders, written as the hub has them; nothing is downloaded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diptych.core.errors import ConfigError
from diptych.core.extras import installed
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.train import train
from diptych.training import weights
from diptych.training.kept_timm import is_timm, read_folder
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.start import read_start
from diptych.training.timm_library import timm_library

pytestmark = pytest.mark.skipif(not installed("timm"), reason="the extra timm is absent")

NAME = "mobilenetv3_small_050"
PREPARED = {"input_size": [3, 32, 32], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}


def write(folder: Path, **said: Any) -> Path:
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    network = timm_library().create_model(NAME)
    (folder / "model.safetensors").write_bytes(weights.encode(network))
    told = {"architecture": NAME, "num_classes": 1000, "pretrained_cfg": PREPARED} | said
    (folder / "config.json").write_text(json.dumps(told))
    return folder


def test_a_folder_brings_its_network_weights_and_preparation(tmp_path: Path) -> None:
    folder = write(tmp_path / "net")
    start = read_start(folder)
    assert start.encoder is not None
    network = start.encoder.network
    assert (network.architecture, network.preparation.side) == (NAME, 32)
    assert network.preparation.mean == (127.5, 102.0, 76.5)
    assert network.preparation.deviation == (51.0, 51.0, 51.0)
    held = weights.decode((folder / "model.safetensors").read_bytes())
    assert {f"model.{name}" for name in held} == set(start.tensors)
    assert (start.input.height, start.input.channels) == (32, 3)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"model_args": {"checkpoint_path": "x.pt"}}, "built with checkpoint_path"),
        ({"pretrained_cfg": PREPARED | {"input_size": [4, 8, 8]}}, "pictures of 4 channels"),
        ({"pretrained_cfg": {}}, "missing required field"),
        ({"architecture": "hf-hub:a/b"}, "`str` matching regex"),
        ({"architecture": 7}, "Expected `str`"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, said: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_start(write(tmp_path / "net", **said))


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "net")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:1000])
    with pytest.raises(ConfigError, match="cannot be used"):
        read_start(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"has no model\.safetensors"):
        read_start(folder)
    (folder / "config.json").write_text("{")
    assert not is_timm(folder)


@pytest.mark.slow
def test_a_name_is_taken_from_the_cache_of_the_hub_and_never_from_elsewhere(tmp_path: Path) -> None:
    tag = timm_library().get_pretrained_cfg(NAME).hf_hub_id.replace("/", "--")
    snapshot = write(tmp_path / "hub" / f"models--{tag}" / "snapshots" / "one")
    (tmp_path / "hub" / f"models--{tag}" / "refs").mkdir()
    (tmp_path / "hub" / f"models--{tag}" / "refs" / "main").write_text("one")
    code = (
        "from pathlib import Path\nfrom diptych.training.start import read_start\n"
        "from diptych.core.errors import ConfigError\n"
        f"start = read_start(Path('timm:{NAME}'))\n"
        "print(len(start.tensors), start.encoder.network.architecture)\n"
        "for name in ('timm:resnet18', 'timm:resnet17'):\n"
        "    try:\n        read_start(Path(name))\n"
        "    except ConfigError as error:\n        print(error)\n"
    )
    places = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=places, check=True
    )
    first, absent, unknown = done.stdout.splitlines()
    assert first == f"{len(read_folder(snapshot).tensors)} {NAME}"
    assert absent.startswith("the weights of resnet18 cannot be had: ")
    assert unknown.startswith("timm knows no network 'resnet17'")


@pytest.mark.slow
def test_a_training_keeps_the_network_in_a_bundle_that_needs_no_timm(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for label, low in (("dark", 0), ("bright", 120)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(60):
            pixels = draw.integers(low, low + 130, (12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    training = TrainingRecipe(epochs=4.0, batch_size=16, optimizer="adamw", learning_rate=1e-3)
    network = ResidualNetConfig(stem=8, widths=(8,), blocks=(0,))
    plan = ModelPlan(name="teacher", network=network, training=training)
    settings = Settings(recipe=FitRecipe(teacher=plan), start=write(tmp_path / "net"))
    with train(tmp_path / "data", out=tmp_path / "a.dip", settings=settings) as bundle:
        assert bundle.manifest.architecture["name"] == "timm"
        told = bundle.predict(tmp_path / "data" / "dark" / "0.png").label
    again = read_start(tmp_path / "a.dip").network()
    assert again == read_folder(tmp_path / "net").network
    code = (
        "import sys\nfrom diptych.cli.main import run\n"
        f"assert run(['predict', {str(tmp_path / 'a.dip')!r}, "
        f"{str(tmp_path / 'data' / 'dark' / '0.png')!r}]) == 0\n"
        "assert not {'timm', 'torch', 'torchvision'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told in done.stdout
