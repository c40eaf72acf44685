from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.core.errors import ConfigError
from diptych.tasks.own import Task
from diptych.training.models import NetworkConfig
from diptych.training.models.own import OwnConfig, own_loss, own_network


def test_widths_multiply() -> None:
    assert OwnConfig().scaled(0.5).scaled(0.5) == OwnConfig(width=0.25)


def test_a_recipe_names_it_own() -> None:
    text = msgspec.json.encode(OwnConfig(width=0.5))
    assert msgspec.json.decode(text) == {"name": "own", "width": 0.5}
    assert msgspec.json.decode(text, type=NetworkConfig) == OwnConfig(width=0.5)


@pytest.mark.parametrize("width", [0, -1, 100])
def test_an_impossible_width_is_refused(width: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"name": "own", "width": {width}}}', type=NetworkConfig)


def task(**given: Any) -> Task:
    common: dict[str, Any] = {"network": lambda spec, outputs, width: nn.Linear(2, outputs)}
    return Task(name="sums", shape=(2,), decode=np.array, **common | given)


def test_a_task_builds_its_network() -> None:
    network = own_network(task(), 3, 1.0)
    assert network(torch.ones(5, 2)).shape == (5, 3)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (lambda spec, outputs, width: nn.Linear(spec.width, outputs), "raises AttributeError"),
        (lambda spec, outputs: nn.Linear(2, outputs), "raises TypeError"),
        (lambda spec, outputs, width: nn.Linear, "gives a type"),
        (lambda spec, outputs, width: None, "gives a NoneType"),
    ],
)
def test_a_network_that_cannot_be_built_is_told_as_the_users(network: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=f"network of task 'sums' {said}"):
        own_network(task(network=network), 3, 1.0)


def test_a_loss_of_ones_own_is_what_it_says() -> None:
    loss = own_loss(task(loss=lambda outputs, targets: (outputs[:, 0] - targets).square().mean()))
    assert loss is not None
    assert loss(torch.tensor([[1.0], [3.0]]), torch.zeros(2)) == 5
    assert own_loss(task()) is None
    assert own_loss(None) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda outputs, targets: outputs @ targets, "raises RuntimeError"),
        (lambda outputs, targets: outputs, r"raises ValueError: it gives \(4, 3\)"),
        (lambda outputs, targets: 1.0, "raises AttributeError"),
    ],
)
def test_a_loss_that_fails_is_told_as_the_users(given: Any, said: str) -> None:
    loss = own_loss(task(loss=given))
    assert loss is not None
    with pytest.raises(ConfigError, match=f"loss of task 'sums' {said}"):
        loss(torch.ones(4, 3), torch.zeros(4, dtype=torch.int64))


def test_memory_that_a_loss_lacks_is_left_to_the_run() -> None:
    def hungry(outputs: Tensor, targets: Tensor) -> Tensor:
        raise torch.cuda.OutOfMemoryError

    loss = own_loss(task(loss=hungry))
    assert loss is not None
    with pytest.raises(torch.cuda.OutOfMemoryError):
        loss(torch.ones(1, 1), torch.ones(1))
