import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.progress import StopRequest
from diptych.data import read
from diptych.fitting import run_file
from diptych.fitting.aims import lesson_of
from diptych.fitting.forerunner import ANSWERS, Order, begin, carry_out
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.trees import TreesConfig

PLAN = ModelPlan(
    name="student",
    network=ResidualNetConfig(stem=8, widths=(16,), blocks=(0,)),
    training=TrainingRecipe(epochs=9, batch_size=64),
)
TREES = ModelPlan(name="teacher", network=TreesConfig(), training=PLAN.training)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a fit's folder, with a teacher that has answered."""
    recipe = FitRecipe(teacher=TREES, students=(PLAN,))
    request = run_file.request_of("digits", tmp_path / "out.dip", recipe, Settings())
    run_file.write(tmp_path, request)
    labels = torch.from_numpy(read("digits").train.targets)
    np.save(tmp_path / ANSWERS, 4 * torch.nn.functional.one_hot(labels, 10).float().numpy())
    return tmp_path


def test_without_a_fit_that_orders_it_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "diptych.fitting.forerunner", str(tmp_path), "60"]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ended.returncode != 0
    assert "a worker was started without a supervisor" in ended.stderr


def test_a_fit_of_data_that_was_handed_over_cannot_be_helped(folder: Path) -> None:
    run_file.write(folder, replace(run_file.read(folder), data=None))
    with pytest.raises(ConfigError, match="does not say where its data is"):
        begin(folder, Settings())


def test_a_teacher_that_only_answers_is_known_by_its_answers(folder: Path) -> None:
    teacher = begin(folder, Settings()).teacher
    assert teacher.recorded is not None
    assert np.array_equal(teacher.recorded.lesson(), np.load(folder / ANSWERS))


def test_a_network_that_teaches_is_not_asked_again(folder: Path) -> None:
    run = run_file.read(folder)
    network = replace(PLAN, name="teacher", training=replace(PLAN.training, epochs=1.0))
    run_file.write(folder, replace(run, recipe=replace(run.recipe, teacher=network)))
    (folder / "teacher").mkdir()
    lesson = begin(folder, Settings())
    known = lesson.teacher.memory.known()
    assert known is not None
    assert np.array_equal(known, np.load(folder / ANSWERS))
    assert lesson.teacher.memory.items is lesson_of(lesson.job.dataset).train.inputs


@pytest.mark.slow
@pytest.mark.parametrize(("needed", "epochs"), [(0.2, 9), (1.0, 1)])
def test_a_student_is_trained_until_it_is_hopeless(
    folder: Path, needed: float, epochs: int
) -> None:
    """The reference errs on half of the items at the end, and on nearly all after an epoch."""
    scores = tuple(np.linspace(0.1, 0.5, 9).tolist()) if needed < 1 else (0.999,) * 9
    lesson = begin(folder, Settings())
    (folder / PLAN.name).mkdir()
    carry_out(Order(plan=PLAN, scores=scores, needed=needed), lesson)
    assert epochs_of(folder) == epochs


@pytest.mark.slow
def test_a_moment_that_is_over_and_a_stop_end_a_training(folder: Path) -> None:
    (folder / PLAN.name).mkdir()
    carry_out(Order(plan=PLAN, until=1.0), begin(folder, Settings()))
    assert epochs_of(folder) < 4  # of 9: it looks at the time every 20 steps
    stopped = Settings(stop=StopRequest(requested=True))
    other = replace(PLAN, name="other")
    (folder / other.name).mkdir()
    carry_out(Order(plan=other), begin(folder, stopped))
    assert list((folder / other.name).glob("checkpoint-*"))


def epochs_of(folder: Path) -> int:
    """Count the epochs of the student's last checkpoint."""
    with closing(RunFolder(folder / PLAN.name, lambda text: None)) as run:
        kept = run.latest()
    assert kept is not None
    return len(kept.position.curve)
