from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec
from diptych.core.values import Dataset, Goal
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import (
    Trainee,
    build,
    class_weights,
    network_of,
    objective_of,
    target_scale,
    train_model,
)
from diptych.tasks.goals import GOALS
from diptych.training.control import RunControl
from diptych.training.flops import forward_flops
from diptych.training.models import ResidualNetConfig
from diptych.training.models.rescaled import Rescaled
from diptych.training.recipe import TrainingRecipe
from diptych.training.recorded import RecordedModel
from diptych.training.trees import TreesConfig
from diptych.training.variation import PictureVariation

MakeDataset = Callable[..., Dataset]
SPEC = ImageSpec(height=8, width=8, channels=1)
SIZES = {"train": 40, "validation": 20, "test": 20}
VARIATION = PictureVariation(translate=1, cutout=2)


def plan(name: str = "small", stages: int = 1, **training: object) -> ModelPlan:
    return ModelPlan(
        name=name,
        network=ResidualNetConfig(stem=8, widths=(8,) * stages, blocks=(0,) * stages),
        training=TrainingRecipe(batch_size=20, variation=VARIATION, **training),  # type: ignore[arg-type]
    )


def test_the_first_weights_depend_on_seed_and_name_alone(make_dataset: MakeDataset) -> None:
    data = make_dataset()

    def first(seed: int, name: str) -> torch.Tensor:
        return next(build(plan(name), data, seed).parameters()).detach()

    torch.manual_seed(1)
    expected = first(0, "small")
    torch.manual_seed(2)
    assert torch.equal(first(0, "small"), expected)
    assert not torch.equal(first(1, "small"), expected)
    assert not torch.equal(first(0, "other"), expected)


@pytest.mark.parametrize(
    ("height", "width", "stages"), [(8, 8, 4), (1, 64, 1), (64, 3, 2), (127, 127, 7)]
)
def test_pictures_that_are_too_small_for_the_network_are_refused_before_training(
    make_dataset: MakeDataset, height: int, width: int, stages: int
) -> None:
    data = make_dataset(height=height, width=width)
    with pytest.raises(ConfigError, match=f"cannot be halved {stages} times"):
        build(plan(stages=stages), data, 0)
    build(plan(stages=stages - 1), data, 0)


def test_a_student_learns_from_the_teacher_and_its_work_is_counted(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(items=60)
    control = RunControl(name="teacher", seed=0)
    teacher = train_model(plan("teacher", epochs=8.0), data, control)
    assert teacher.name == "teacher"
    assert teacher.network is not None
    assert teacher.parameters == sum(p.numel() for p in teacher.network.parameters())
    assert teacher.flops == forward_flops(teacher.network, data.spec)
    assert teacher.samples == 8 * 60
    assert teacher.training_flops == 3 * teacher.flops * 8 * 60

    weights = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    wrong = Dataset(
        **{f: getattr(data, f) for f in data.__dataclass_fields__ if f != "train"},
        train=type(data.train)(
            inputs=data.train.inputs, targets=1 - data.train.targets, items=data.train.items
        ),
    )
    student = train_model(plan("student", epochs=20.0), wrong, control, teacher)
    assert student.training_flops == (3 * student.flops + teacher.flops) * 20 * 60
    for name, value in teacher.network.state_dict().items():
        assert torch.equal(value, weights[name]), f"the teacher's {name} was changed"

    answers = [m.outputs(data, "test").argmax(1) for m in (teacher, student)]
    assert np.mean(answers[0] == data.test.targets) > 0.9
    assert np.mean(answers[0] == answers[1]) > 0.9, "the student took the labels, not the teacher"


def test_the_plan_of_a_trained_model_is_what_was_really_done(make_dataset: MakeDataset) -> None:
    ticks = iter(range(10_000))
    hurried = RunControl(name="small", seed=0, deadline=60.0, clock=lambda: float(next(ticks)))
    data = make_dataset(items=60)
    model = train_model(plan(epochs=100.0), data, hurried)
    assert model.plan.training.replans
    assert model.samples < 100 * 60
    again = train_model(model.plan, data, RunControl(name="small", seed=0))
    for one, other in zip(model.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("goal", get_args(Goal))
def test_a_teacher_and_its_student_learn_whatever_is_told(
    make_dataset: MakeDataset, goal: Goal
) -> None:
    data = make_dataset(items=120, classes=3, goal=goal)
    settings = {"epochs": 40.0, "optimizer": "adamw", "learning_rate": 0.02, "clip": 1.0}
    control = RunControl(name="teacher", seed=1)
    teacher = train_model(plan("teacher", **settings), data, control)
    student = train_model(plan("student", **settings), data, control, teacher)
    score = GOALS[goal].item_scores
    for model in (teacher, student):
        outputs = model.outputs(data, "test")
        assert outputs.shape == (20, len(data.labels))
        assert score(outputs, data.test.targets).mean() > 0.85, model.name
        validation = score(model.outputs(data, "validation"), data.validation.targets).mean()
        assert model.curve[-1].score == pytest.approx(validation, abs=1e-4)


def test_numbers_are_told_in_their_own_unit_from_the_first_step(make_dataset: MakeDataset) -> None:
    data = make_dataset(items=60, goal="regression")
    network = build(plan(), data, 0)
    assert isinstance(network, Rescaled)
    assert network.mean.item() == pytest.approx(data.train.targets.mean())
    assert network.deviation.item() == pytest.approx(data.train.targets.std())
    assert not isinstance(build(plan(), make_dataset(goal="ordinal"), 0), Rescaled)


def test_the_scale_of_numbers_is_their_mean_and_deviation(make_dataset: MakeDataset) -> None:
    data = make_dataset(items=30, classes=3, goal="regression")
    assert target_scale(data) == (pytest.approx(100.0), pytest.approx(100 * (2 / 3) ** 0.5))
    data.train.targets[:] = 7
    assert target_scale(data) == (7.0, 1.0)
    assert target_scale(make_dataset()) == (0.0, 1.0)


@pytest.mark.parametrize("goal", ["classification", "ordinal"])
def test_weighed_classes_count_alike(make_dataset: MakeDataset, goal: Goal) -> None:
    data = make_dataset(items=100, classes=4, goal=goal)
    data.train.targets[:] = np.repeat([0, 1, 2, 3], [80, 14, 5, 1])
    weights = class_weights(data)
    assert weights is not None
    counted = np.bincount(data.train.targets, weights=weights.numpy()[data.train.targets])
    assert counted == pytest.approx([25.0] * 4)
    data.train.targets[-1] = 2
    absent = class_weights(data)
    assert absent is not None
    assert torch.isfinite(absent).all()
    assert class_weights(make_dataset(goal="multi-label")) is None
    assert class_weights(make_dataset(goal="regression")) is None


def test_where_nothing_can_be_seen_answers_are_shares_and_even_where_classes_are_balanced(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(items=100)
    data.train.targets[:] = np.arange(100) % 10 == 0
    for balance, shares in ((False, (0.9, 0.1)), (True, (0.5, 0.5))):
        best = torch.tensor(shares).log().requires_grad_()
        recipe = TrainingRecipe(balance=balance, label_smoothing=0.0)
        outputs = best.expand(100, 2)
        loss = objective_of(data, recipe, None)(torch.empty(0), outputs, torch.arange(100))
        loss.backward()
        assert best.grad is not None
        assert best.grad.abs().max() < 1e-6


@pytest.mark.parametrize("goal", get_args(Goal))
def test_the_share_of_labels_is_mixed_into_imitation(make_dataset: MakeDataset, goal: Goal) -> None:
    data = make_dataset(items=40, goal=goal)
    settings = {"label_smoothing": 0.1, "temperature": 3.0}
    teacher = train_model(plan("teacher", epochs=1.0), data, RunControl(name="teacher"))
    chosen = torch.tensor([3, 5, 8, 8])
    inputs = torch.from_numpy(data.train.inputs)[chosen]
    outputs = torch.randn(4, len(data.labels), generator=torch.Generator().manual_seed(0))

    def loss(share: float, teacher: Trainee | None) -> float:
        recipe = TrainingRecipe(label_share=share, **settings)  # type: ignore[arg-type]
        return objective_of(data, recipe, teacher)(inputs, outputs, chosen).item()

    labels, imitation = loss(0.5, None), loss(0.0, teacher)
    assert loss(1.0, teacher) == pytest.approx(labels)
    assert loss(0.25, teacher) == pytest.approx(0.25 * labels + 0.75 * imitation, rel=1e-5)
    assert labels != pytest.approx(imitation)


def test_every_setting_of_a_recipe_together_trains_and_is_done_again_bit_for_bit(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(items=60, classes=3, goal="ordinal")
    settings = {
        "epochs": 10.0,
        "optimizer": "adamw",
        "learning_rate": 0.02,
        "weight_decay": 0.05,
        "clip": 1.0,
        "averaging": 0.9,
        "balance": True,
        "label_share": 0.3,
    }
    teacher = train_model(plan("teacher", **settings), data, RunControl(name="teacher"))
    runs = [
        train_model(plan("student", **settings), data, RunControl(name="student"), teacher)
        for _ in range(2)
    ]
    first, again = (network_of(run).state_dict() for run in runs)
    assert all(torch.equal(first[name], again[name]) for name in first)
    score = np.mean(runs[0].outputs(data, "validation").argmax(1) == data.validation.targets)
    assert runs[0].curve[-1].score == pytest.approx(score)
    assert score > 1 / 3


def test_a_model_of_recorded_answers_has_no_network(make_dataset: MakeDataset) -> None:
    data = make_dataset(items=40)
    answers = {name: np.full((n, 2), k) for k, (name, n) in enumerate(SIZES.items())}
    trees = RecordedModel(seconds=1.0, cpu_seconds=1.0, **answers)
    model = Trainee(
        plan=ModelPlan(name="trees", network=TreesConfig(), training=TrainingRecipe()),
        network=None,
        recorded=trees,
        seconds=1.0,
        cpu_seconds=1.0,
        samples=40,
    )
    assert model.outputs(data, "validation") is answers["validation"]
    assert model.outputs(data, "test") is answers["test"]
    with pytest.raises(TypeError, match="trees is no network"):
        network_of(model)
