from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from diptych.training.optimizer import WeightAverage, optimizer_of
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


def network() -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net()


def step(net: Net, optimizer: torch.optim.Optimizer, seed: int) -> None:
    inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    net(inputs).tanh().sum(1).mean().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_matrices_decay_and_vectors_do_not_and_what_is_frozen_is_left_alone(kind: str) -> None:
    net = network()
    recipe = TrainingRecipe(optimizer=kind, weight_decay=0.25, learning_rate=0.5)  # type: ignore[arg-type]
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


def floats(net: nn.Module) -> dict[str, np.ndarray]:
    state = net.state_dict().items()
    return {k: v.numpy().astype(np.float64).copy() for k, v in state if v.is_floating_point()}


@given(decay=st.sampled_from([0.05, 0.5, 0.9, 0.999]), steps=st.integers(0, 12))
def test_the_average_is_that_of_a_plain_loop(decay: float, steps: int) -> None:
    net = network()
    optimizer = optimizer_of(net, TrainingRecipe(learning_rate=0.05))
    average = WeightAverage(net, decay)
    expected = floats(net)
    for number in range(1, steps + 1):
        step(net, optimizer, number)
        average.update()
        kept = min(decay, (1 + number) / (10 + number))
        for name, value in floats(net).items():
            expected[name] = kept * expected[name] + (1 - kept) * value
    counted = net.norm.num_batches_tracked.item()
    average.keep()
    for name, value in floats(net).items():
        assert value == pytest.approx(expected[name], rel=1e-4, abs=1e-6), name
    assert net.norm.num_batches_tracked.item() == counted == steps


def test_the_average_is_applied_for_a_while_only_even_where_that_ends_badly() -> None:
    net = network()
    optimizer, average = optimizer_of(net, TrainingRecipe()), WeightAverage(net, 0.9)
    for number in range(5):
        step(net, optimizer, number)
        average.update()
    before = deepcopy(net.state_dict())
    with suppress(KeyError), average.applied():
        assert not torch.equal(net.layer.weight, before["layer.weight"])
        raise KeyError
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    with average.applied():
        applied = deepcopy(net.state_dict())
    average.keep()
    assert all(torch.equal(applied[name], value) for name, value in net.state_dict().items())


def test_the_average_goes_on_after_it_was_applied() -> None:
    looked_at, left_alone = network(), network()
    averages = [WeightAverage(net, 0.9) for net in (looked_at, left_alone)]
    optimizers = [optimizer_of(net, TrainingRecipe()) for net in (looked_at, left_alone)]
    for number in range(6):
        for net, optimizer, average in zip(
            (looked_at, left_alone), optimizers, averages, strict=True
        ):
            step(net, optimizer, number)
            average.update()
        with averages[0].applied():
            pass
    for average in averages:
        average.keep()
    assert torch.equal(looked_at.layer.weight, left_alone.layer.weight)


def test_without_a_decay_no_average_is_kept() -> None:
    net = network()
    average = WeightAverage(net, 0.0)
    before = deepcopy(net.state_dict())
    average.update()
    with average.applied():
        assert torch.equal(net.layer.weight, before["layer.weight"])
    average.keep()
    assert average.average == []
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
