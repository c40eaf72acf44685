"""Threads stand for the processes of a team: each has its share of the batch."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn

from diptych.core.errors import ConfigError
from diptych.core.extras import installed
from diptych.training.global_norm import TIMMS_OWN, GlobalNorm, globalize, localize
from diptych.training.timm_library import timm_library

SIZES = (2, 3)


class BatchNormAct2d(nn.BatchNorm2d):
    """What timm's layer of this name computes; its activation is one that learns."""

    def __init__(self, channels: int, **settings: Any) -> None:
        super().__init__(channels, **settings)
        self.drop, self.act = nn.Identity(), nn.PReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.act(self.drop(super().forward(inputs)))
        return outputs


BatchNormAct2d.__module__ = TIMMS_OWN[0]


class Own(nn.BatchNorm1d):
    """One of somebody else's, which may compute anything."""


class Held(nn.BatchNorm1d):
    """One that stays as it was learned elsewhere."""

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


class Meeting:
    """Gathers one tensor of each thread."""

    def __init__(self, size: int) -> None:
        self.tensors: list[Tensor] = [torch.empty(0)] * size
        self.barrier = threading.Barrier(size, timeout=20)

    def gather_for(self, rank: int) -> Callable[[Tensor], Tensor]:
        def gather(own: Tensor) -> Tensor:
            self.tensors[rank] = own
            self.barrier.wait()
            gathered = torch.stack(self.tensors)
            self.barrier.wait()
            return gathered

        return gather


def network(channels: int, kind: type[nn.Module]) -> nn.Sequential:
    torch.manual_seed(3)
    norms = [kind(channels, affine=True), kind(channels, affine=False, momentum=None)]
    with torch.no_grad():
        norms[0].weight.uniform_(0.5, 2)
        norms[0].bias.normal_()
    return nn.Sequential(norms[0], nn.Tanh(), norms[1])


def step(model: nn.Module, inputs: Tensor, wanted: Tensor) -> Tensor:
    """Take gradients of a mean over the items; give that by the inputs."""
    inputs = inputs.clone(memory_format=torch.preserve_format).requires_grad_()
    ((model(inputs) - wanted) ** 2).mean().backward()
    assert inputs.grad is not None
    return inputs.grad


def shared(
    kind: type[nn.Module], inputs: Tensor, wanted: Tensor, size: int
) -> tuple[list[nn.Module], list[Tensor]]:
    meeting = Meeting(size)

    def work(rank: int) -> tuple[nn.Module, Tensor]:
        part = slice(rank * len(inputs) // size, (rank + 1) * len(inputs) // size)
        globalize(models[rank], meeting.gather_for(rank))
        gradient = step(models[rank], inputs[part], wanted[part])
        localize(models[rank])
        return models[rank], gradient

    models = [network(inputs.shape[1], kind) for _ in range(size)]
    with ThreadPoolExecutor(size) as pool:
        done = list(pool.map(work, range(size)))
    return [model for model, _ in done], [gradient for _, gradient in done]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (nn.BatchNorm1d, (6, 5)),
        (nn.BatchNorm1d, (6, 5, 4)),
        (nn.BatchNorm2d, (6, 5, 3, 4)),
        (nn.BatchNorm3d, (6, 5, 2, 3, 2)),
        (nn.SyncBatchNorm, (6, 5, 3, 4)),
        (BatchNormAct2d, (6, 5, 3, 4)),
    ],
)
def test_shares_give_the_statistics_and_gradients_of_the_whole_batch(
    size: int, kind: type[nn.Module], shape: tuple[int, ...]
) -> None:
    draw = torch.Generator().manual_seed(1)
    inputs = 3 * torch.randn(shape, generator=draw) + torch.arange(shape[0]).view(
        -1, *[1] * (len(shape) - 1)
    )
    wanted = torch.randn(shape, generator=draw)
    whole = network(shape[1], kind)
    by_inputs = step(whole, inputs, wanted)
    models, gradients = shared(kind, inputs, wanted, size)
    # The loss of a share is a mean over its own items: gradients are `size` times as large.
    torch.testing.assert_close(torch.cat(gradients) / size, by_inputs, rtol=1e-3, atol=1e-5)
    for model in models:
        assert [type(layer) for layer in model] == [kind, nn.Tanh, kind]
        torch.testing.assert_close(model.state_dict(), whole.state_dict(), rtol=1e-5, atol=1e-6)
    for name, parameter in whole.named_parameters():
        mean = torch.stack([m.get_parameter(name).grad for m in models]).mean(0)  # type: ignore[misc]
        torch.testing.assert_close(mean, parameter.grad, rtol=1e-3, atol=1e-5)


def test_the_layout_channels_last_gives_the_same_and_stays() -> None:
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randn(4, 6, 3, 5, generator=draw) + 2
    wanted = torch.randn(inputs.shape, generator=draw)
    _, plain = shared(nn.BatchNorm2d, inputs, wanted, 2)
    last = inputs.to(memory_format=torch.channels_last)
    _, gradients = shared(nn.BatchNorm2d, last, wanted, 2)
    assert gradients[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(torch.cat(gradients), torch.cat(plain), rtol=1e-3, atol=1e-5)


def test_in_half_precision_the_statistics_are_float32() -> None:
    norm = GlobalNorm(nn.BatchNorm2d(4), lambda own: torch.stack((own, own)))
    inputs = torch.randn(8, 4, 6, 6).bfloat16().requires_grad_()
    outputs = norm(inputs)
    outputs.sum().backward()
    assert inputs.grad is not None
    assert (outputs.dtype, inputs.grad.dtype) == (torch.bfloat16, torch.bfloat16)
    assert norm.running_mean is not None
    torch.testing.assert_close(
        norm.running_mean, 0.1 * inputs.detach().float().mean((0, 2, 3)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("kind", "sides"), [(nn.BatchNorm1d, ()), (BatchNormAct2d, (2, 2))])
def test_names_and_answers_stay_those_of_the_network(
    kind: type[nn.Module], sides: tuple[int, ...]
) -> None:
    model = network(3, kind).eval()
    inputs = torch.randn(5, 3, *sides)
    before, names = model(inputs), list(model.state_dict())
    norms = [model[0], model[2]]
    globalize(model, lambda own: own[None])
    assert isinstance(model[0], GlobalNorm)
    assert list(model.state_dict()) == names
    assert torch.equal(model(inputs), before)
    localize(model)
    assert [model[0], model[2]] == norms


def test_a_norm_used_twice_stays_one() -> None:
    norm = nn.BatchNorm1d(2)
    model = nn.ModuleList([nn.Sequential(norm), nn.Sequential(norm)])
    globalize(model, lambda own: own[None])
    assert model[0][0] is model[1][0]  # type: ignore[index]
    localize(model)
    assert model[0][0] is model[1][0] is norm  # type: ignore[index]


@pytest.mark.skipif(not installed("timm"), reason="the extra timm is absent")
def test_timms_layer_has_the_name_by_which_it_is_told() -> None:
    kind = timm_library().layers.BatchNormAct2d
    assert (kind.__module__, kind.__qualname__) == TIMMS_OWN
    model, inputs = nn.Sequential(kind(3, inplace=True)), torch.randn(4, 3, 2, 2)
    expected = model(inputs)
    globalize(model, lambda own: own[None])
    assert isinstance(model[0], GlobalNorm)
    torch.testing.assert_close(model(inputs), expected)


@pytest.mark.parametrize("training", [True, False])
def test_a_norm_that_may_compute_anything_is_refused_and_nothing_is_changed(training: bool) -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(Own(2))).train(training)
    with pytest.raises(ConfigError, match="Own is a batch norm of its own kind") as refused:
        globalize(model, lambda own: own[None])
    assert "without --devices" in refused.value.hint
    assert type(model[0]) is nn.BatchNorm1d
    assert all(module.training == training for module in model.modules())


def test_a_norm_that_learns_nothing_stays() -> None:
    model = nn.Sequential(Held(2), nn.BatchNorm1d(2)).train()
    globalize(model, lambda own: own[None])
    assert [type(layer) for layer in model] == [Held, GlobalNorm]
