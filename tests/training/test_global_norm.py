"""Threads stand for the processes of a team: each has its share of the batch."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from diptych.training.global_norm import GlobalNorm, globalize, localize

SIZES = (2, 3)


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


def test_names_and_answers_stay_those_of_the_network() -> None:
    model = network(3, nn.BatchNorm1d).eval()
    inputs = torch.randn(5, 3)
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
