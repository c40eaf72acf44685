from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from diptych.training.optimizers import WeightAverage, optimizer_of
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


def test_an_average_that_was_kept_goes_on_bit_for_bit_also_in_another_layout() -> None:
    plain, first = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape))
    second = deepcopy(first)
    averages = [WeightAverage(net, 0.9) for net in (first, second)]
    assert not plain.weight.is_contiguous(memory_format=torch.channels_last)
    averages[0].update()
    kept = averages[0].state_dict()
    kept["average"] = {name: value.contiguous() for name, value in kept["average"].items()}
    averages[1].load_state_dict(kept)
    for net, average in zip((first, second), averages, strict=True):
        with torch.no_grad():
            net.weight.mul_(1.7)
        average.update()
        average.keep()
    assert torch.equal(first.weight, second.weight)
    assert averages[1].steps == 2


def test_a_tied_weight_is_applied_once_and_taken_back() -> None:
    class Tied(nn.Sequential):
        """Two layers of one weight; a buffer of its memory, and two tensors of none."""

        def __init__(self) -> None:
            super().__init__(nn.Linear(2, 2), nn.Linear(2, 2))
            self[1].weight = self[0].weight
            self.register_buffer("seen", self[0].weight.data)
            self.register_buffer("none", torch.zeros(0))
            self.register_buffer("nothing", torch.zeros(0))

    net = Tied()
    first = net[0].weight.detach().clone()
    average = WeightAverage(net, 0.5)
    with torch.no_grad():
        net[0].weight.add_(1)
        net[1].bias.add_(1)
    trained = deepcopy(net.state_dict())
    average.update()
    kept = min(0.5, 2 / 11)
    expected = kept * first + (1 - kept) * trained["0.weight"]
    with average.applied():
        torch.testing.assert_close(net[0].weight.detach(), expected)
    assert all(torch.equal(trained[name], value) for name, value in net.state_dict().items())
    average.keep()
    torch.testing.assert_close(net[1].weight.detach(), expected)
    assert set(average.names) == {"seen", "0.bias", "1.bias", "none", "nothing"}
