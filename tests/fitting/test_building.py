from collections.abc import Callable

import pytest
import torch

from diptych.core.errors import ConfigError
from diptych.core.values import Dataset
from diptych.fitting.building import build
from diptych.fitting.recipe import ModelPlan
from diptych.training.models import ResidualNetConfig
from diptych.training.models.rescaled import Rescaled, target_scale
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]


def plan(name: str = "small", stages: int = 1) -> ModelPlan:
    network = ResidualNetConfig(stem=8, widths=(8,) * stages, blocks=(0,) * stages)
    return ModelPlan(name=name, network=network, training=TrainingRecipe())


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
