from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec
from diptych.core.values import Dataset
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import build, forward_flops, train_model
from diptych.training.loop import RunControl, compute_outputs
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

MakeDataset = Callable[..., Dataset]
SPEC = ImageSpec(height=8, width=8, channels=1)
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


def test_operations_are_counted_as_by_hand() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(1, 6, 3, padding=1, bias=False)
            self.head = nn.Linear(6, 5, bias=False)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.head(self.convolution(pixels.permute(0, 3, 1, 2).float()).amax((2, 3)))

    network = Net().train()
    by_hand = 2 * (8 * 8 * 6 * 9) + 2 * (6 * 5)
    assert forward_flops(network, SPEC) == by_hand
    assert network.training


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
