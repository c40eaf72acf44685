"""How much each channel of a network matters: what the loss would be without it, or its weights.

Shapes: N items, B batch, C channels or heads of a group.

Source: P. Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019 (the square
of the first-order change of the loss, summed over batches); Z. Liu et al., "Learning Efficient
Convolutional Networks through Network Slimming", 2017 (scales of batch norms). Changed: the change
is that of taking a channel away from all layers that take it; a scale is multiplied by the weights
that take it up, for where a network fixes the scale it says nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from diptych.compression.channels import Group, Use, trainable
from diptych.training.compute import items_at_once
from diptych.training.objectives import Objective

ImportanceName = Literal["taylor", "scale"]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Items to judge channels by: raw inputs (N, ...) and their numbers `chosen`, int64 (N,).

    `objective` must be about labels: how far a network is from its own answers has no slope.
    `batch_size` is for inputs of the usual size; of larger ones fewer are taken at once.
    """

    inputs: Tensor
    chosen: Tensor
    objective: Objective
    batch_size: int = 64


Importance = Callable[[nn.Module, Sequence[Group], Lesson], list[Tensor]]
"""(network, its groups, items) to a score per channel of each group, (C,); more matters more."""


def taylor(network: nn.Module, groups: Sequence[Group], lesson: Lesson) -> list[Tensor]:
    """Score channels by how much the loss would change without them, to first order.

    Args:
        network: Any network; it is left as it is.
        groups: Of this network.
        lesson: Items and the loss.

    Returns:
        For each group the squared change, summed over batches, (C,).
    """
    probe = trainable(network)
    scores = [torch.zeros(group.size) for group in groups]
    size = items_at_once(lesson.inputs.shape, lesson.batch_size)
    batches = (torch.split(each, size) for each in (lesson.inputs, lesson.chosen))
    for inputs, chosen in zip(*batches, strict=True):
        probe.zero_grad()
        torch.autograd.backward(lesson.objective(inputs, probe(inputs).float(), chosen))
        for place, group in enumerate(groups):
            scores[place] += _taken(probe, group, _slope) ** 2
    return scores


def scale(network: nn.Module, groups: Sequence[Group], lesson: Lesson) -> list[Tensor]:
    """Score channels by the scale of their batch norms and the weights that take them.

    Args:
        network: Any network.
        groups: Of this network.
        lesson: Not needed.

    Returns:
        For each group the mean size of the scales, 1 without a norm, times the root of the sum of
        the squared weights, (C,).
    """
    return [_scales(network, group) * _taken(network, group, _power).sqrt() for group in groups]


def _taken(network: nn.Module, group: Group, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """Sum a measure of weights over all that take a channel, (C,)."""
    total = torch.zeros(group.size)
    for use in group.takers:
        weight: Tensor = network.get_submodule(use.layer).weight  # type: ignore[assignment]
        by_input = measure(weight).transpose(0, 1).flatten(1).sum(1)
        total += _gathered(by_input.detach(), use, group.size)
    return total


def _slope(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight * weight.grad


def _power(weight: Tensor) -> Tensor:
    return weight**2


def _scales(network: nn.Module, group: Group) -> Tensor:
    total, count = torch.zeros(group.size), torch.zeros(group.size)
    for use in group.norms:
        scales = network.get_submodule(use.layer).weight
        if isinstance(scales, Tensor):
            total += _gathered(scales.detach().abs(), use, group.size)
            count += _gathered(torch.ones(len(scales)), use, group.size)
    return torch.where(count > 0, total / count.clamp_min(1.0), 1.0)


def _gathered(values: Tensor, use: Use, size: int) -> Tensor:
    """Sum values at a layer's places by the channel that they are of, (C,)."""
    return torch.zeros(size).index_add(0, use.channels, values[use.places])


IMPORTANCES: dict[ImportanceName, Importance] = {"taylor": taylor, "scale": scale}
