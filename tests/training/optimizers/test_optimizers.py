import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from diptych.training.checkpoint import flatten, unflatten
from diptych.training.optimizers import (
    OPTIMIZERS,
    AveragedPoint,
    WeightAverage,
    average_of,
    optimizer_of,
    set_rate,
)
from diptych.training.recipe import TrainingRecipe


class Net(nn.Module):
    """A matrix, a norm, a bias, a scalar, a frozen matrix, and buffers of both kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)
        self.gain = nn.Parameter(torch.tensor(2.0))
        self.frozen = nn.Parameter(torch.ones(3, 3), requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.gain * self.norm(self.layer(inputs)) @ self.frozen


class Pictures(nn.Module):
    """Convolutions in channels-last layout, a table of words, hidden layers and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, bias=False)
        self.hidden = nn.Conv2d(6, 6, 3)
        self.words = nn.Embedding(5, 6)
        self.middle = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)
        self.to(memory_format=torch.channels_last)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.hidden(self.stem(inputs).relu()).relu().amax((2, 3))
        return self.head(self.middle(x + self.words(torch.arange(len(x)) % 5)).relu())


def recipe_of(kind: str, **changes: Any) -> TrainingRecipe:
    return TrainingRecipe(optimizer=kind, **changes)  # type: ignore[arg-type]


def network(build: type[nn.Module] = Net) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def step(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (8, 4) if isinstance(net, Net) else (8, 2, 6, 6)
    optimizer.zero_grad()
    net(torch.randn(shape, generator=generator)).tanh().sum(1).mean().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_matrices_decay_and_vectors_do_not_and_what_is_frozen_is_left_alone(kind: str) -> None:
    net = network()
    recipe = recipe_of(kind, weight_decay=0.25, learning_rate=0.5)
    groups = optimizer_of(net, recipe).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays.pop(id(net.layer.weight)) == 0.25
    vectors = (net.layer.bias, net.norm.weight, net.norm.bias, net.gain)
    assert decays == {id(p): 0.0 for p in vectors}
    assert all(group["lr"] == 0.5 for group in groups)


@pytest.mark.parametrize("momentum", [0.9, 0.5, 0.0])
def test_sgd_takes_the_steps_that_are_written_in_the_books(momentum: float) -> None:
    net = network()
    recipe = TrainingRecipe(learning_rate=0.1, momentum=momentum, weight_decay=0.01)
    optimizer = optimizer_of(net, recipe)
    expected = net.layer.weight.detach().numpy().astype(np.float64)
    velocity = np.zeros_like(expected)
    for number in range(4):
        step(net, optimizer, number)
        assert net.layer.weight.grad is not None
        gradient = net.layer.weight.grad.numpy() + 0.01 * expected
        velocity = gradient if number == 0 else momentum * velocity + gradient
        expected = expected - 0.1 * (gradient + momentum * velocity)
        assert net.layer.weight.detach().numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_adamw_takes_the_steps_that_are_written_in_the_books() -> None:
    net = network()
    recipe = TrainingRecipe(optimizer="adamw", learning_rate=0.1, weight_decay=0.5)
    optimizer = optimizer_of(net, recipe)
    expected = net.layer.weight.detach().numpy().astype(np.float64)
    first, second = np.zeros_like(expected), np.zeros_like(expected)
    for number in range(1, 5):
        step(net, optimizer, number)
        assert net.layer.weight.grad is not None
        gradient = net.layer.weight.grad.numpy().astype(np.float64)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        whole, spread = first / (1 - 0.9**number), second / (1 - 0.999**number)
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * whole / (np.sqrt(spread) + 1e-8)
        assert net.layer.weight.detach().numpy() == pytest.approx(expected, rel=1e-3, abs=1e-5)


def through_a_file(fresh: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Take a state through what a checkpoint can hold: contiguous tensors and JSON."""
    tensors, numbers = flatten(state)
    tensors = {k: v.clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    return unflatten(fresh, tensors, json.loads(json.dumps(numbers)))


@pytest.mark.parametrize("build", [Net, Pictures])
@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
def test_a_run_that_is_kept_and_gone_on_with_ends_bit_for_bit_alike(
    kind: str, build: type[nn.Module]
) -> None:
    recipe = recipe_of(kind, learning_rate=0.01, weight_decay=0.01)
    whole, parted = network(build), network(build)
    optimizers = [optimizer_of(net, recipe) for net in (whole, parted)]
    for number in range(3):
        step(whole, optimizers[0], number)
        step(parted, optimizers[1], number)
    fresh = network(build)
    fresh.load_state_dict({k: v.contiguous() for k, v in parted.state_dict().items()})
    optimizers[1] = optimizer_of(fresh, recipe)
    kept = through_a_file(optimizers[1].state_dict(), optimizers[0].state_dict())
    optimizers[1].load_state_dict(kept)
    for number in range(3, 6):
        step(whole, optimizers[0], number)
        step(fresh, optimizers[1], number)
    for net, optimizer in zip((whole, fresh), optimizers, strict=True):
        average_of(net, optimizer, recipe).keep()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name]), name


@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
def test_each_optimizer_finds_the_bottom_of_a_bowl(kind: str) -> None:
    target = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    net[1].weight.requires_grad_(False).copy_(torch.eye(6))
    optimizer = optimizer_of(net, recipe_of(kind, learning_rate=0.1, weight_decay=0.0))
    for number in range(300):
        set_rate(optimizer, 0.1 if kind == "schedule-free" else 0.1 * (1 - number / 300), 0.9)
        optimizer.zero_grad()
        ((net(torch.eye(6)).T - target) ** 2).sum().backward()
        optimizer.step()
    average_of(net, optimizer, recipe_of(kind)).keep()
    assert (net[0].weight - target).abs().max() < 0.02


@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
def test_every_group_learns_at_its_share_of_the_rate(kind: str) -> None:
    net = network()
    optimizer = optimizer_of(net, recipe_of(kind), {"layer.weight": 0.25, "gain": 0.5})
    set_rate(optimizer, 2.0, 0.7)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates[id(net.layer.weight)] == 0.5
    assert rates[id(net.gain)] == 1.0
    assert rates[id(net.layer.bias)] == rates[id(net.norm.weight)] == 2.0
    momenta = [group["momentum"] for group in optimizer.param_groups if "momentum" in group]
    assert momenta == ([0.7] * 3 if kind in {"sgd", "muon"} else [])


@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
def test_what_has_no_gradient_is_left_alone(kind: str) -> None:
    net = network()
    optimizer = optimizer_of(net, recipe_of(kind, learning_rate=0.1))
    net.layer.requires_grad_(False)
    before = deepcopy(net.state_dict())
    step(net, optimizer, 0)
    assert torch.equal(net.layer.weight, before["layer.weight"])
    assert torch.equal(net.frozen, before["frozen"])
    assert not torch.equal(net.gain, before["gain"])


def test_a_schedule_free_run_keeps_its_own_average_and_others_that_of_the_recipe() -> None:
    net = network()
    recipes = [recipe_of("schedule-free"), recipe_of("sgd", averaging=0.9)]
    averages = [average_of(net, optimizer_of(net, recipe), recipe) for recipe in recipes]
    assert isinstance(averages[0], AveragedPoint)
    assert isinstance(averages[1], WeightAverage)
    assert averages[1].decay == 0.9


def test_a_rate_that_is_still_to_be_found_is_zero_until_it_is_set() -> None:
    optimizer = optimizer_of(network(), recipe_of("sgd", learning_rate=None))
    assert {group["lr"] for group in optimizer.param_groups} == {0.0}


@pytest.fixture
def alone() -> Iterator[None]:
    """A group of one process, in which networks can be sharded."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
def test_a_sharded_network_is_stepped_like_a_whole_one(kind: str) -> None:
    recipe = recipe_of(kind, learning_rate=0.01, weight_decay=0.01)
    whole, sharded = (network(Pictures).to(memory_format=torch.contiguous_format) for _ in range(2))
    fully_shard(sharded, mesh=init_device_mesh("cpu", (1,)))
    for net in (whole, sharded):
        optimizer = optimizer_of(net, recipe)
        for number in range(3):
            step(net, optimizer, number)
        average_of(net, optimizer, recipe).keep()
    weight = sharded.hidden.weight
    assert isinstance(weight, DTensor)
    assert torch.allclose(weight.full_tensor(), whole.hidden.weight, atol=1e-6)
