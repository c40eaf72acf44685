from collections.abc import Callable

import pytest
import torch
from msgspec.structs import replace
from torch import nn

from diptych.compression.features import Showing
from diptych.compression.prune import PruneRecipe
from diptych.core.errors import ConfigError
from diptych.core.values import Dataset
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.showing import showing_learner, shows
from diptych.fitting.trainee import network_of, train_model
from diptych.training.control import RunControl
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]
WIDE = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
NARROW = ResidualNetConfig(stem=8, widths=(8, 8), blocks=(0, 0))
TRAINING = TrainingRecipe(epochs=6.0, batch_size=20)


def plan(name: str, network: ResidualNetConfig, **training: object) -> ModelPlan:
    return ModelPlan(name=name, network=network, training=replace(TRAINING, **training))


@pytest.mark.parametrize("goal", ["classification", "regression"])
def test_a_student_learns_features_and_is_a_plain_network_afterwards(
    make_dataset: MakeDataset, goal: str
) -> None:
    data = make_dataset(items=60, goal=goal)
    settings = {"optimizer": "adamw", "learning_rate": 0.01}
    teacher = train_model(plan("teacher", WIDE, **settings), data, RunControl(name="teacher"))
    weights = {"similarity": 1.0, "features": 0.5, "label_share": 0.2}
    control = RunControl(name="student")
    student = train_model(plan("student", NARROW, **settings, **weights), data, control, teacher)
    plain = train_model(plan("student", NARROW, **settings), data, control, teacher)
    first, other = (network_of(model).state_dict() for model in (student, plain))
    assert list(first) == list(other)
    assert not isinstance(student.network, Showing)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    assert student.parameters == plain.parameters
    assert student.outputs(data, "test").shape == plain.outputs(data, "test").shape
    again = train_model(student.plan, data, control, teacher)
    assert all(torch.equal(v, first[n]) for n, v in network_of(again).state_dict().items())


def test_features_that_are_not_shown_are_refused(make_dataset: MakeDataset) -> None:
    data, recipe = make_dataset(), TrainingRecipe(features=1.0)
    shown = train_model(plan("teacher", WIDE, epochs=1.0), data, RunControl(name="t")).network
    control = RunControl(name="student")
    for network, teacher, told in (
        (shown, nn.Flatten(), "the teacher of student does not show its features"),
        (shown, None, "the teacher of student does not show its features"),
        (nn.Flatten(), shown, "student does not show its features"),
    ):
        with pytest.raises(ConfigError, match=told):
            showing_learner(network, teacher, data, recipe, control)


def test_without_a_teacher_there_are_no_features_to_learn(make_dataset: MakeDataset) -> None:
    data, control = make_dataset(), RunControl(name="alone")
    alone = train_model(plan("alone", WIDE, epochs=1.0, features=1.0), data, control)
    plain = train_model(plan("alone", WIDE, epochs=1.0), data, control)
    found, expected = (network_of(model).state_dict() for model in (alone, plain))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_pruned_and_rounded_networks_learn_no_features() -> None:
    with pytest.raises(ConfigError, match="small cannot learn features while it is pruned"):
        replace(plan("small", WIDE, similarity=1.0), prune=PruneRecipe(share=0.5))
    with pytest.raises(ConfigError, match="small cannot learn features while it is pruned"):
        replace(plan("small", WIDE), quantized=TrainingRecipe(features=1.0))


def test_either_weight_is_enough() -> None:
    assert shows(TrainingRecipe(similarity=0.1))
    assert shows(TrainingRecipe(features=0.1))
    assert not shows(TrainingRecipe())
