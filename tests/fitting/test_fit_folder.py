import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from diptych.core.errors import ConfigError, StorageError
from diptych.core.files import sha256_of_file
from diptych.core.progress import Step, silent
from diptych.fitting.fit_folder import KEPT_EVERY_S, PLAN, FitFolder, FitRequest, folder_of
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.checkpoint import Checkpoint, Position
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
TRAINING = TrainingRecipe(epochs=2, batch_size=64)
TEACHER = ModelPlan(name="teacher", network=NETWORK, training=TRAINING)
STUDENT = ModelPlan(name="student", network=NETWORK, training=TRAINING)
RECIPE = FitRecipe(teacher=TEACHER, students=(STUDENT,))
REQUEST = FitRequest(data_sha256="0" * 64, budget="drop<=1%", seed=0, target="cpu", timed=False)
TOML = """
programs = [{ runtime = "onnxruntime", precision = "fp32" }]
[teacher]
name = "teacher"
network = { name = "residual", stem = 8, widths = [16], blocks = [0] }
training = { epochs = 40, learning_rate = 0.15 }
[[students]]
name = "student"
network = { name = "residual", stem = 8, widths = [16], blocks = [0] }
training = { epochs = 40, learning_rate = 0.15 }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "out.dip")


@pytest.fixture
def begun(path: Path) -> Iterator[FitFolder]:
    """Begin a fit whose teacher has a checkpoint after 7 seconds."""
    with closing(FitFolder(path, REQUEST, silent)) as folder:
        folder.keep(RECIPE)
        folder.run(TEACHER, None).save(checkpoint(7.0))
        yield folder


def checkpoint(seconds: float, remaining: int = 2) -> Checkpoint:
    position = Position(
        data_sha256="0" * 64,
        seed=0,
        name="teacher",
        planned=TRAINING,
        recipe=TRAINING,
        step=1,
        remaining=remaining,
        share=0.5,
        seconds=seconds,
        cpu_seconds=1.0,
        waited_seconds=0.0,
        replans=(),
        curve=(),
        numbers={},
    )
    return Checkpoint(position=position, tensors={"weight": torch.ones(2)})


def test_the_folder_is_beside_the_bundle(tmp_path: Path) -> None:
    assert folder_of(tmp_path / "digits.dip") == tmp_path / "digits.fit"
    assert folder_of(tmp_path / "my.model") == tmp_path / "my.model.fit"


def test_the_same_request_goes_on(begun: FitFolder, path: Path) -> None:
    begun.close()
    said: list[Step] = []
    with closing(FitFolder(path, REQUEST, said.append)) as folder:
        assert folder.recipe == RECIPE
        assert folder.spent_s == 0.0  # nobody counted
        kept = folder.run(TEACHER, None).latest()
        assert kept is not None
        assert kept.position.step == 1
    assert "goes on" in said[0].note
    folder.remove()
    assert not path.exists()


def test_time_counts_as_it_passes_however_many_models_are_trained_in_it(path: Path) -> None:
    now, step, told = [100.0], Step(stage="train", done=1, total=2), list[Step]()
    with closing(FitFolder(path, REQUEST, told.append)) as folder:
        report = folder.counting(3.0, lambda: now[0])
        report(step)  # nothing is planned yet
        assert told == [step]
        assert not path.exists()
        folder.keep(RECIPE)
        folder.run(TEACHER, None).save(checkpoint(50.0))
        folder.run(STUDENT, TEACHER).save(checkpoint(50.0))
        now[0] = 160.0
        report(step)
        now[0] += KEPT_EVERY_S - 1
        report(step)
    with closing(FitFolder(path, REQUEST, silent)) as folder:  # as after a kill
        assert folder.recipe == RECIPE
        assert folder.spent_s == 63.0
        folder.keep(RECIPE)
        report = folder.counting(2.0, lambda: now[0])
        now[0] += KEPT_EVERY_S
        report(step)
    with closing(FitFolder(path, REQUEST, silent)) as folder:
        assert folder.spent_s == 63.0 + 2.0 + KEPT_EVERY_S
    with closing(FitFolder(path, replace(REQUEST, seed=1), silent)) as folder:
        assert folder.spent_s == 0.0


def test_a_full_disk_does_not_end_the_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: FitFolder, recipe: FitRecipe) -> None:
        raise StorageError("no space left on device", "free some")

    told: list[Step] = []
    with closing(FitFolder(path, REQUEST, told.append)) as folder:
        folder.keep(RECIPE)
        monkeypatch.setattr(FitFolder, "keep", fail)
        folder.counting(0.0)(Step(stage="train", done=1, total=2))
    assert [step.stage for step in told] == ["train"]


def test_a_model_is_done_once_no_step_is_left(begun: FitFolder, path: Path) -> None:
    assert not begun.is_done(TEACHER, None)
    assert not begun.is_done(STUDENT, TEACHER)
    assert not (path / "student").exists()
    begun.run(STUDENT, TEACHER).save(checkpoint(3.0, remaining=0))
    assert begun.is_done(STUDENT, TEACHER)
    assert not begun.is_done(STUDENT, None)
    assert begun.run(STUDENT, TEACHER).latest() is not None
    for file in (path / "student").glob("checkpoint-*"):
        file.write_bytes(b"torn")
    assert not begun.is_done(STUDENT, TEACHER)


def test_another_request_takes_over_the_models_that_it_trains_alike(
    begun: FitFolder, path: Path
) -> None:
    begun.close()
    with closing(FitFolder(path, replace(REQUEST, budget="drop<=2%"), silent)) as folder:
        assert folder.recipe is None
        assert folder.spent_s == 0.0
        assert folder.run(TEACHER, None).latest() is not None
        assert folder.run(STUDENT, TEACHER).latest() is None
    for changed in (
        replace(TEACHER, network=replace(NETWORK, stem=16)),
        replace(TEACHER, training=replace(TRAINING, epochs=3.0)),
    ):
        with closing(FitFolder(path, REQUEST, silent)) as folder:
            folder.run(changed, None).save(checkpoint(1.0))
            folder.close()
        with closing(FitFolder(path, REQUEST, silent)) as folder:
            assert folder.run(TEACHER, None).latest() is None


def test_a_student_of_another_teacher_is_trained_anew(begun: FitFolder, path: Path) -> None:
    begun.run(STUDENT, TEACHER).save(checkpoint(3.0))
    begun.close()
    other = replace(TEACHER, training=replace(TRAINING, epochs=9.0))
    with closing(FitFolder(path, REQUEST, silent)) as folder:
        assert folder.run(STUDENT, other).latest() is None


def test_two_fits_do_not_share_a_folder(begun: FitFolder, path: Path) -> None:
    with (
        closing(FitFolder(path, REQUEST, silent)) as other,
        pytest.raises(ConfigError, match="belongs to a run that is going on"),
    ):
        other.run(TEACHER, None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"request": {"data_sha256": "\xff"}}',
        b'{"recipe": {"teacher": {"network": {"stem": ' + b"[" * 100_000,
    ],
)
def test_a_plan_that_is_damaged_does_not_count(path: Path, content: bytes) -> None:
    path.mkdir()
    (path / PLAN).write_bytes(content)
    with closing(FitFolder(path, REQUEST, silent)) as folder:
        assert folder.recipe is None
        folder.keep(RECIPE)
    with closing(FitFolder(path, REQUEST, silent)) as folder:
        assert folder.recipe == RECIPE


def test_a_folder_of_something_else_is_not_touched(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a fit's folder"):
        FitFolder(path, REQUEST, silent)
    assert (path / "thesis.txt").read_text() == "mine"


@pytest.mark.long
def test_a_fit_that_is_killed_goes_on_to_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TOML)

    def start(out: Path) -> subprocess.Popen[bytes]:
        words = ["fit", "digits", "--recipe", str(recipe), "--out", str(out)]
        return subprocess.Popen(
            [sys.executable, "-m", "diptych", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    whole, out = tmp_path / "whole.dip", tmp_path / "out.dip"
    assert start(whole).wait(timeout=120) in {0, 3}
    draw = random.Random(0)
    for model in ("teacher", "student"):
        process, log = start(out), tmp_path / "out.fit" / model / "metrics.jsonl"
        until = time.monotonic() + 60
        while not log.exists() and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(draw.uniform(0.0, 1.0))
        process.kill()
        process.wait()
    assert start(out).wait(timeout=120) in {0, 3}
    weights = [sha256_of_file(bundle / "weights.safetensors") for bundle in (whole, out)]
    assert weights[0] == weights[1]
    assert not (tmp_path / "out.fit").exists()
    assert not (tmp_path / "whole.fit").exists()
