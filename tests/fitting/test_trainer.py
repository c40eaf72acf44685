import dataclasses
from pathlib import Path

import numpy as np
import pytest

from diptych.compression.prune import PruneRecipe
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.fit_folder import FitFolder, FitRequest
from diptych.fitting.job import Job
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import network_of
from diptych.fitting.trainer import Trainer
from diptych.measure.machine import describe
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

PLAN = ModelPlan(
    name="teacher",
    network=ResidualNetConfig(stem=8, widths=(16,), blocks=(0,)),
    training=TrainingRecipe(epochs=3, batch_size=64),
)
STUDENT = ModelPlan(name="student", network=PLAN.network, training=PLAN.training)
RECIPE = FitRecipe(teacher=PLAN, students=(STUDENT,), seed=3)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        dataset=read("digits", Options(seed=0)),
        budget=Budget(),
        machine=describe(),
        destination=tmp_path / "out.dip",
    )


def trainer(job: Job, **settings: object) -> Trainer:
    return Trainer(job, RECIPE, Settings(**settings), timed=False)


def test_the_first_that_is_trained_teaches_the_others(job: Job) -> None:
    one = trainer(job)
    assert one.teacher is None
    teacher = one.train(PLAN, 1.0)
    student = one.train(STUDENT, 1.0)
    assert one.trainees == [teacher, student]
    assert one.teacher is teacher
    asked = len(job.dataset.train)  # once, for items stay as they are
    assert student.training_flops == 3 * student.flops * student.samples + teacher.flops * asked


def test_a_student_that_pauses_goes_on_from_its_folder(job: Job, tmp_path: Path) -> None:
    request = FitRequest(
        data_sha256=job.dataset.record.sha256, budget="", seed=3, target="cpu", timed=False
    )
    whole = trainer(job)
    whole.train(PLAN, 1.0)
    expected = whole.train(STUDENT, 1.0)
    folder = FitFolder(tmp_path / "out.fit", request, lambda step: None)
    one = trainer(dataclasses.replace(job, fit=folder))
    one.train(PLAN, 1.0)
    paused = one.train_to(STUDENT, 2, 1.0)
    assert len(paused.curve) == 2
    assert len(one.trainees) == 1
    done = one.train(STUDENT, 1.0)
    assert [point.score for point in done.curve] == [point.score for point in expected.curve]
    for ours, theirs in zip(
        network_of(done).parameters(), network_of(expected).parameters(), strict=True
    ):
        assert np.array_equal(ours.detach().numpy(), theirs.detach().numpy())
    folder.remove()


def test_what_is_not_there_cannot_be_pruned(job: Job) -> None:
    told: list[str] = []
    one = trainer(job, report=lambda step: told.append(step.note))
    plan = ModelPlan(
        name="less",
        network=PLAN.network,
        training=PLAN.training,
        prune=PruneRecipe(share=0.5),
    )
    assert one.prune(plan, "teacher", 1.0) is None
    assert told == ["teacher is not there to be pruned"]


def test_only_a_fit_with_a_deadline_limits_a_training(job: Job) -> None:
    still = Settings(clock=lambda: 100.0)
    for timed, deadline in ((False, None), (True, 107.0)):
        one = Trainer(job, RECIPE, still, timed=timed)
        control = one.control("student", 7.0, None)
        assert (control.deadline, control.seed, control.name) == (deadline, 3, "student")
