import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from msgspec.structs import replace as replace_value

from diptych.core.progress import Step, silent
from diptych.core.values import Candidate, Dataset
from diptych.fitting.allowance import Allowance, excess
from diptych.fitting.budget import Budget
from diptych.fitting.cascading import MOST_PASSED_ON, sureness, threshold, try_cascade
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee, build
from diptych.fitting.trials import Trial, try_programs
from diptych.targets.lower import lower
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]
MakeCandidate = Callable[..., Candidate]
ITEMS, CLASSES = 2000, 5


@pytest.fixture
def allowance(make_dataset: MakeDataset) -> Allowance:
    """Allow a drop of 1 % from a teacher that is always right, on many items."""
    dataset = make_dataset(classes=CLASSES, items=ITEMS)
    dataset = replace(dataset, validation=dataset.train)
    right = 10 * np.eye(CLASSES, dtype=np.float32)[dataset.validation.targets]
    return Allowance(budget=Budget.parse("drop<=1%"), dataset=dataset, teacher_outputs=right)


def unsure_where_wrong(allowance: Allowance, wrong: float) -> np.ndarray:
    """Make answers whose errors are among the least sure ones."""
    draw = np.random.default_rng(0)
    targets = allowance.dataset.validation.targets
    margins = draw.uniform(0.1, 8, len(targets)).astype(np.float32)
    told = np.where(margins < np.quantile(margins, wrong), (targets + 1) % CLASSES, targets)
    return margins[:, None] * np.eye(CLASSES, dtype=np.float32)[told]


def test_the_least_threshold_is_found_that_surely_keeps_the_budget(allowance: Allowance) -> None:
    small, large = unsure_where_wrong(allowance, 0.2), allowance.teacher_outputs
    found = threshold(small, large, allowance)
    assert found is not None

    def missed(limit: float) -> float:
        answers = np.where((sureness(small) < limit)[:, None], large, small)
        return excess(allowance, answers, surely=True)

    passed_on = (sureness(small) < found).mean()
    assert missed(found) <= 0
    assert 0.18 < passed_on < 0.22  # a fifth is wrong, of which one in a hundred may stay
    assert missed(float(np.quantile(sureness(small), passed_on - 0.02))) > 0


def test_there_is_none_where_errors_are_sure_or_too_many(allowance: Allowance) -> None:
    large = allowance.teacher_outputs
    assert threshold(unsure_where_wrong(allowance, MOST_PASSED_ON + 0.1), large, allowance) is None
    sure = 3 * np.roll(large, 1, axis=1)
    assert threshold(sure, large, allowance) is None
    small = unsure_where_wrong(allowance, 0.2)
    assert threshold(small, small, allowance) is None


@pytest.fixture
def tried(allowance: Allowance) -> tuple[Allowance, list[Trial]]:
    """Lower a network, which is right by definition, and one that differs from it by noise."""
    network = ResidualNetConfig(stem=8, widths=(32,), blocks=(0,))
    plan = ModelPlan(name="teacher", network=network, training=TrainingRecipe())
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (ITEMS, 8, 8, 1), dtype=np.uint8)
    validation = replace(allowance.dataset.validation, inputs=pixels)
    dataset = replace(allowance.dataset, validation=validation)
    teacher = build(plan, dataset, 0).eval()
    student = copy.deepcopy(teacher)
    with torch.no_grad():
        for model in (teacher, student):
            model.get_submodule("head").weight *= 100
        student.get_submodule("head").weight *= 1 + 0.8 * torch.randn(CLASSES, 32)
    trials = []
    for name, model in (("teacher", teacher), ("student", student)):
        trainee = Trainee(
            plan=replace_value(plan, name=name),
            network=model,
            seconds=0.0,
            cpu_seconds=0.0,
            samples=0,
            parameters=7,
        )
        spec = dataset.spec.tensor()
        program = lower(model, spec, runtime="onnxruntime", precision="fp32", name=name)
        trials += try_programs(trainee, [program], dataset, silent)
    outputs = trials[0].outputs
    validation = replace(validation, targets=outputs.argmax(1))
    dataset = replace(dataset, validation=validation)
    return replace(allowance, dataset=dataset, teacher_outputs=outputs), trials


def measured(trials: list[Trial], make_candidate: MakeCandidate, *costs: float) -> list[Candidate]:
    return [make_candidate(t.name, cost=cost) for t, cost in zip(trials, costs, strict=True)]


def test_a_cascade_answers_as_the_one_whose_turn_it_is(
    tried: tuple[Allowance, list[Trial]], make_candidate: MakeCandidate
) -> None:
    allowance, trials = tried
    large, small = (trial.outputs for trial in trials)
    assert excess(allowance, small, surely=True) > 0
    told: list[Step] = []
    rows = measured(trials, make_candidate, 10.0, 1.0)
    found = try_cascade(trials, rows, allowance, told.append)
    limit = threshold(small, large, allowance)
    assert found is not None
    assert limit is not None
    passed = sureness(small) < limit
    assert np.allclose(found.outputs, np.where(passed[:, None], large, small), atol=1e-4)
    assert excess(allowance, found.outputs, surely=True) <= 0
    assert found.program.passed_on == passed.mean()
    assert found.name == "student-else-teacher onnxruntime fp32"
    assert found.model.parameters == 14
    assert found.size_bytes > sum(trial.size_bytes for trial in trials)
    assert told[0].note.startswith("student onnxruntime fp32 passes ")


def test_the_first_program_is_a_student_s_where_the_teacher_has_none(
    tried: tuple[Allowance, list[Trial]], make_candidate: MakeCandidate
) -> None:
    allowance, (good, small) = tried
    trials = [small, good]
    rows = measured(trials, make_candidate, 1.0, 10.0)
    assert try_cascade(trials, rows, allowance, silent) is None
    teacher = replace(good.model)
    found = try_cascade(trials, rows, allowance, silent, teacher=teacher)
    assert found is not None
    assert found.name == "student-else-teacher onnxruntime fp32"


def test_there_is_no_cascade_that_cannot_pay(
    tried: tuple[Allowance, list[Trial]], make_candidate: MakeCandidate
) -> None:
    allowance, trials = tried
    dear = measured(trials, make_candidate, 1.0, 1.0)
    assert try_cascade(trials, dear, allowance, silent) is None
    rows = measured(trials, make_candidate, 10.0, 1.0)
    assert try_cascade(trials[:1], rows[:1], allowance, silent) is None
    easy = replace(allowance, budget=Budget.parse("accuracy>=10%"))
    assert try_cascade(trials, rows, easy, silent) is None  # the student will do
    hard = replace(allowance, budget=Budget.parse("accuracy>=99.99%"))
    assert try_cascade(trials, rows, hard, silent) is None  # nobody surely is as good
