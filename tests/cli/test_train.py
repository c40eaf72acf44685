import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from diptych.cli.main import run
from diptych.cli.train import summary
from diptych.core.files import sha256_of_file
from diptych.fitting import run_file
from diptych.fitting.recipe import read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.train import steps_left
from diptych.measure.means import unknown
from diptych.training.checkpoint import Checkpoint, decode, encode
from diptych.training.rate_finder import RANGES
from diptych.training.recipe import TrainingRecipe

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
"""


@pytest.mark.slow
def test_training_from_a_recipe_prints_what_came_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    out = tmp_path / "out.dip"
    words = ["train", "digits", "--recipe", str(tmp_path / "tiny.toml"), "--out", str(out)]
    assert run([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["bundle"] == str(out)
    assert result["training"]["samples"] > 0
    assert run(words) == 0
    assert "accuracy" in capsys.readouterr().out


def test_a_score_of_which_nothing_is_known_is_unknown(tiny: Any) -> None:
    model, left = tiny.manifest.model, ", 9 parameters, trained in 1.0 s"
    assert summary(tiny.manifest) == f"accuracy 90.00 % (80.00 % to inf, n 100){left}"
    nothing = replace(model, scores={"accuracy": unknown("undefined: no items")})
    told = summary(replace(tiny.manifest, model=nothing))
    assert told == f"accuracy unknown (undefined: no items){left}"


@pytest.mark.slow
def test_a_recipe_without_a_rate_has_one_looked_for(tmp_path: Path) -> None:
    """It took the usual rate of SGD, 0.15, whatever the optimizer."""
    recipe = RECIPE.replace("learning_rate = 0.15", 'optimizer = "adamw"')
    (tmp_path / "tiny.toml").write_text(recipe)
    out = tmp_path / "out.dip"
    assert run(["train", "digits", "--recipe", f"{tmp_path}/tiny.toml", "--out", str(out)]) == 0
    rate = read_recipe(out).teacher.training.learning_rate
    low, high = RANGES["adamw"]
    assert rate is not None
    assert low < rate < high
    assert rate != TrainingRecipe().learning_rate


@pytest.mark.slow
def test_a_finished_training_is_written_elsewhere_where_its_place_has_no_room(
    tmp_path: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    there, folder = tmp_path / "there.dip", tmp_path / "a.run"
    (small_disk / "full").write_bytes(bytes(240 << 10))
    words = ["train", "digits", "--recipe", str(tmp_path / "tiny.toml"), "--run", str(folder)]
    assert run([*words, "--out", str(small_disk / "x.dip")]) == 2
    complaint = capsys.readouterr().err
    assert "no space left on device" in complaint
    assert f"go on: diptych train --resume {folder} (with --out, elsewhere)" in complaint
    records = (folder / "metrics.jsonl").read_text()
    assert run(["train", "--resume", str(folder), "--out", str(there)]) == 0
    assert (there / "bundle.json").is_file()
    assert (folder / "metrics.jsonl").read_text() == records


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["checkpoints", "run.json", "no run.json"])
def test_a_run_that_nobody_can_go_on_with_makes_room(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    out, folder = tmp_path / "out.dip", tmp_path / "out.run"
    words = ["train", "digits", "--recipe", str(tmp_path / "tiny.toml"), "--out", str(out)]
    assert run(words) == 0
    if damage == "checkpoints":
        for file in folder.glob("checkpoint-*"):
            file.write_bytes(b"nothing")
    elif damage == "run.json":
        (folder / "run.json").write_text("{")
    else:
        (folder / "run.json").unlink()
    assert run(words) == 0
    (folder / "run.json").unlink()
    (folder / "thesis.txt").write_text("mine")
    assert run(words) == 2
    assert "choose another --run" in capsys.readouterr().err
    assert (folder / "thesis.txt").read_text() == "mine"


@pytest.mark.slow
def test_names_with_points_have_folders_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    for name in ("lr0.1", "lr0.2"):
        words = ["train", "digits", "--recipe", str(tmp_path / "tiny.toml")]
        assert run([*words, "--out", str(tmp_path / name)]) == 0
    assert {each.name for each in tmp_path.glob("*.run")} == {"lr0.1.run", "lr0.2.run"}


@pytest.mark.parametrize("verb", ["train", "fit"])
def test_more_items_than_can_be_held_back_are_refused(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([verb, "digits", "--validation-items", "900"]) == 2
    complaint = capsys.readouterr().err
    assert "digits cannot hold back 900 of 1,438 items" in complaint
    assert "choose at most 719" in complaint
    assert not list(tmp_path.iterdir())


def test_an_unknown_setting_of_a_recipe_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE + "\nspeed = 3\n")
    assert run(["train", "digits", "--recipe", str(tmp_path / "tiny.toml")]) == 2
    complaint = capsys.readouterr().err
    assert "speed" in complaint
    assert "training" in complaint


def weights(bundle: Path) -> str:
    return sha256_of_file(bundle / "weights.safetensors")


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_with_the_weights_of_one_that_was_not(
    tmp_path: Path,
) -> None:
    """And it loses no more than the time between two checkpoints."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.replace("epochs = 2", "epochs = 60"))
    whole, out = tmp_path / "whole.dip", tmp_path / "a.dip"
    assert run(["train", "digits", "--recipe", str(recipe), "--out", str(whole)]) == 0
    words = ["digits", "--recipe", str(recipe), "--out", str(out)]
    last, draw = 0, random.Random(0)
    for _ in range(3):
        command = [sys.executable, "-m", "diptych", "train", *words, "--checkpoint-every", "0.05s"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        latest = wait_for_checkpoint_after(last, tmp_path / "a.run", process)
        time.sleep(draw.uniform(0, 0.3))  # the moment is what is random here
        process.kill()
        process.communicate()
        last, words = max(latest, last), ["--resume", str(tmp_path / "a.run")]
    assert run(["train", *words]) == 0
    assert weights(out) == weights(whole)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_training_that_is_asked_to_end_keeps_its_last_step_and_goes_on(
    tmp_path: Path, devices: int
) -> None:
    """As schedulers ask by SIGTERM, before they kill."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.replace("epochs = 2", "epochs = 15"))
    out, folder = tmp_path / "a.dip", tmp_path / "a.run"
    words = ["digits", "--recipe", str(recipe), "--out", str(out), "--devices", str(devices)]
    process = subprocess.Popen(
        [sys.executable, "-m", "diptych", "train", *words, "--checkpoint-every", "0.2s"],
        stderr=subprocess.PIPE,
        text=True,
    )
    kept = wait_for_checkpoint_after(0, folder, process)
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert f"go on with it: diptych train --resume {folder}" in told
    assert max(int(file.stem[-10:]) for file in folder.glob("checkpoint-*.safetensors")) > kept
    assert run(["train", "--resume", str(folder)]) == 0
    assert not steps_left(folder)


def wait_for_checkpoint_after(step: int, folder: Path, process: subprocess.Popen) -> int:
    while process.poll() is None:
        for file in folder.glob("checkpoint-*.safetensors"):
            if int(file.stem.partition("-")[2]) > step:
                return int(file.stem.partition("-")[2])
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_a_run_that_is_not_over_is_not_begun_anew_and_keeps_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    words = ["train", "digits", "--recipe", str(recipe), "--out", str(tmp_path / "a.dip")]
    assert run(words) == 0
    folder = tmp_path / "a.run"
    (file,) = folder.glob("checkpoint-*.safetensors")
    kept = decode(file.read_bytes(), "it")
    position = replace(kept.position, remaining=3)
    file.write_bytes(encode(Checkpoint(position=position, tensors=kept.tensors)))
    capsys.readouterr()
    assert run(words) == 2
    assert f"--resume {folder}" in capsys.readouterr().err
    assert run(["train", "--resume", str(folder), "--seed", "3"]) == 2
    assert "--seed cannot change" in capsys.readouterr().err


def test_training_needs_data_or_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train"]) == 2
    assert "diptych train digits" in capsys.readouterr().err
    assert run(["train", "--resume", str(tmp_path)]) == 2
    assert "is not a run's folder" in capsys.readouterr().err


def test_what_a_run_that_goes_on_is_told_counts_or_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    given = Settings(devices=2, shard=True)
    recipe, words = read_recipe(tmp_path / "tiny.toml"), ["train", "--resume", str(tmp_path)]
    request = run_file.request_of(tmp_path / "nothing", tmp_path / "a.dip", recipe, given)
    run_file.write(tmp_path, request)
    assert run(words) == 2
    assert "nothing' does not exist" in capsys.readouterr().err
    assert run([*words, "--devices", "1"]) == 2
    assert "one device has no others" in capsys.readouterr().err
    assert run([*words, "--task", "regression"]) == 2
    assert "--task cannot change" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "digits", "--device", "cuda:7", "--out", str(tmp_path / "a.dip")]
    assert run(words) == 2
    assert "there is no device 'cuda:7'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_starts_from_the_weights_of_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    first, second, third = (str(tmp_path / f"{name}.dip") for name in "abc")
    assert run(["train", "digits", "--recipe", f"{tmp_path}/tiny.toml", "--out", first]) == 0
    words = ["train", "digits", "--start", first, "--time-limit", "1m", "--out", second, "--json"]
    assert run(words) == 0
    said = capsys.readouterr()
    assert "16 of 16 tensors from a.dip" in said.err
    manifest = json.loads((tmp_path / "b.dip" / "bundle.json").read_text())
    assert manifest["architecture"]["widths"] == [16]
    plan = manifest["provenance"]["recipe"]["teacher"]
    assert plan["start"]["path"] == first
    assert plan["start"]["sha256"] == sha256_of_file(tmp_path / "a.dip" / "weights.safetensors")
    assert run(["train", "digits", "--recipe", second, "--out", third]) == 0
    assert "16 of 16 tensors from a.dip" in capsys.readouterr().err


def test_a_start_of_another_kind_of_data_is_refused_in_one_line(
    kind_bundle: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "digits", "--out", str(tmp_path / "a.dip"), "--start"]
    assert run([*words, str(kind_bundle("text").path)]) == 2
    assert "holds no weights.safetensors" in capsys.readouterr().err
    assert run([*words, str(tmp_path / "none")]) == 2
    assert "nothing is downloaded" in capsys.readouterr().err
