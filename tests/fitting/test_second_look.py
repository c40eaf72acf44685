"""Programs that look again, planned and in need; oracle: the mean of two answers, by numpy."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replace_value
from torch import nn

from diptych.core.progress import Step, silent
from diptych.core.values import Candidate, Dataset
from diptych.fitting.allowance import Allowance, excess
from diptych.fitting.budget import Budget
from diptych.fitting.cascading import sureness
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.second_look import (
    can_look_again,
    look_again,
    look_as_planned,
    try_second_look,
)
from diptych.fitting.trainee import Trainee
from diptych.fitting.trials import Trial, open_lowered, run_all
from diptych.targets.lower import LoweredProgram
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

pytest.importorskip("ai_edge_litert", reason="the extra edge is not installed")

MakeDataset = Callable[..., Dataset]
MakeCandidate = Callable[..., Candidate]
CLASSES, ITEMS = 5, 2000
NETWORK = ResidualNetConfig(stem=8, widths=(32,), blocks=(0,))
MIRRORS = TrainingRecipe(variation=PictureVariation(flip=True))
PLAN = ModelPlan(name="student", network=NETWORK, training=MIRRORS)


def mirrored(pictures: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pictures[:, :, ::-1])


@pytest.fixture
def dataset(make_dataset: MakeDataset) -> Dataset:
    made = make_dataset(classes=CLASSES, items=ITEMS)
    pixels = np.random.default_rng(0).integers(0, 256, (ITEMS, 8, 8, 1), dtype=np.uint8)
    return replace(made, validation=replace(made.train, inputs=pixels))


@pytest.fixture
def trial(dataset: Dataset, linear_tflite: Callable[..., bytes]) -> Trial:
    weights = np.random.default_rng(1).normal(size=(CLASSES, 64)) / 300
    spec = dataset.spec.tensor()
    program = LoweredProgram(
        name="student-litert-int8",
        runtime="litert",
        precision="int8",
        contents={"student-litert-int8.tflite": linear_tflite(weights)},
        input=spec,
        output=replace_value(spec, name="logits", dtype="float32", shape=(None, CLASSES)),
    )
    session = open_lowered(program)
    outputs = run_all(session, dataset.validation.inputs)
    model = Trainee(plan=PLAN, network=nn.Identity(), parameters=320, flops=1000)
    return Trial(model=model, program=program, session=session, outputs=outputs)


def allowing(dataset: Dataset, trial: Trial, budget: str) -> Allowance:
    """Let the mean of two looks be right by definition."""
    twice = trial.outputs + run_all(trial.session, mirrored(dataset.validation.inputs))
    labelled = replace(dataset.validation, targets=twice.argmax(1))
    return Allowance(
        budget=Budget.parse(budget),
        dataset=replace(dataset, validation=labelled),
        teacher_outputs=twice,
    )


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_planned_share_is_looked_at_again(dataset: Dataset, trial: Trial, share: float) -> None:
    found = look_again(trial, share, dataset)
    unsure = sureness(trial.outputs) < np.quantile(sureness(trial.outputs), share)
    means = (trial.outputs + run_all(trial.session, mirrored(dataset.validation.inputs))) / 2
    np.testing.assert_allclose(found.outputs, np.where(unsure[:, None], means, trial.outputs), 1e-4)
    assert found.program.second_looks == pytest.approx(share, abs=1e-3)
    assert found.name == "student-else-mirrored litert int8"
    assert list(found.program.contents) == ["student-litert-int8-else-mirrored.tflite"]
    assert found.model.flops == pytest.approx(1000 * (1 + share), rel=1e-2)
    assert trial.size_bytes < found.size_bytes < trial.size_bytes + 3_000


def test_a_plan_is_followed_where_it_can_be_and_else_it_is_said(
    dataset: Dataset, trial: Trial
) -> None:
    plans = [ProgramPlan(runtime="litert", precision="int8", second_look=0.2)]
    told: list[Step] = []
    (found,) = look_as_planned([trial], plans, dataset, told.append)
    assert found.program.second_looks == pytest.approx(0.2, abs=1e-3)
    assert not told
    straight = replace_value(PLAN, training=TrainingRecipe())
    other = replace(trial, model=replace(trial.model, plan=straight))
    assert look_as_planned([other], plans, dataset, told.append) == []
    assert told[0].note.startswith("student litert int8 does not look again")
    always = replace_value(PLAN, network=replace_value(NETWORK, mirrored=True))
    twice = replace(trial, model=replace(trial.model, plan=always))
    assert look_as_planned([twice], plans, dataset, told.append) == []
    assert told[1].note == "student litert int8 does not look again: it always looks twice"
    unplanned = [ProgramPlan(runtime="litert", precision="int8")]
    assert look_as_planned([trial], unplanned, dataset, told.append) == []


def test_in_need_it_looks_as_often_as_it_must(
    dataset: Dataset, trial: Trial, make_candidate: MakeCandidate
) -> None:
    allowance = allowing(dataset, trial, "accuracy>=75%")
    assert excess(allowance, trial.outputs) > 0
    teacher = replace(trial, model=replace(trial.model, plan=replace_value(PLAN, name="teacher")))
    rows = [make_candidate(each.name, cost=1.0) for each in (teacher, trial)]
    told: list[Step] = []
    found = try_second_look([teacher, trial], rows, allowance, told.append)
    assert found is not None
    assert found.model.name == "student-else-mirrored"
    assert excess(allowance, found.outputs, surely=True) <= 0
    looks = found.program.second_looks
    assert looks is not None
    fewer = look_again(trial, looks - 0.03, allowance.dataset)
    assert excess(allowance, fewer.outputs, surely=True) > 0
    assert told[0].note == f"student litert int8 looks again at {looks:.1%}"


def test_the_only_student_looks_again_where_the_teacher_has_no_program(
    dataset: Dataset, trial: Trial, make_candidate: MakeCandidate
) -> None:
    allowance, rows = allowing(dataset, trial, "accuracy>=75%"), [make_candidate(trial.name)]
    teacher = replace(trial.model, plan=replace_value(PLAN, name="teacher"))
    found = try_second_look([trial], rows, allowance, silent, teacher=teacher)
    assert found is not None
    assert found.model.name == "student-else-mirrored"


def test_none_looks_again_in_vain(
    dataset: Dataset, trial: Trial, make_candidate: MakeCandidate
) -> None:
    teacher = replace(trial, model=replace(trial.model, plan=replace_value(PLAN, name="teacher")))
    rows = [make_candidate(each.name, cost=1.0) for each in (teacher, trial)]
    hard = allowing(dataset, trial, "accuracy>=99.9%")
    assert try_second_look([teacher, trial], rows, hard, silent) is None
    easy = allowing(dataset, trial, "accuracy>=75%")
    assert try_second_look([teacher], rows[:1], easy, silent) is None


def test_only_who_learned_mirror_images_looks_at_them(dataset: Dataset, trial: Trial) -> None:
    assert can_look_again(trial.model, dataset)
    straight = replace_value(PLAN, training=TrainingRecipe(variation=PictureVariation()))
    assert not can_look_again(replace(trial.model, plan=straight), dataset)
    twice = replace_value(PLAN, network=replace_value(NETWORK, mirrored=True))
    assert not can_look_again(replace(trial.model, plan=twice), dataset)
    assert not can_look_again(trial.model, replace(dataset, goal="regression"))
