"""Optimizers by name, the groups they step, and the averages that are evaluated in their place."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from diptych.training.optimizers.average import Average, WeightAverage
from diptych.training.optimizers.directions import shared_directions
from diptych.training.optimizers.groups import (
    Shares,
    hidden_matrices,
    parameter_groups,
    shares_by_depth,
)
from diptych.training.optimizers.layout import keep_layout
from diptych.training.optimizers.muon import Muon
from diptych.training.optimizers.schedule_free import AveragedPoint, ScheduleFree
from diptych.training.recipe import TrainingRecipe
from diptych.training.team import SOLO, Team

__all__ = [
    "OPTIMIZERS",
    "Average",
    "AveragedPoint",
    "Shares",
    "WeightAverage",
    "average_of",
    "optimizer_of",
    "rate_of",
    "set_rate",
    "shares_by_depth",
]


def optimizer_of(
    network: nn.Module, recipe: TrainingRecipe, shares: Shares | None = None, team: Team = SOLO
) -> torch.optim.Optimizer:
    """Make the optimizer of a run.

    Args:
        network: Its trained parameters are optimized.
        recipe: Which optimizer, rate, momentum and decay.
        shares: Learning rates relative to the run's, by a parameter's name.
        team: Who trains the network together.

    Returns:
        The optimizer; biases, norms, frequencies, and other vectors and scalars do not decay.
    """
    return keep_layout(OPTIMIZERS[recipe.optimizer](network, recipe, shares, team))


def average_of(
    network: nn.Module, optimizer: torch.optim.Optimizer, recipe: TrainingRecipe
) -> Average:
    """Make what is evaluated and kept in the place of the last weights.

    Args:
        network: The network.
        optimizer: From `optimizer_of`.
        recipe: Its `averaging` counts but for an optimizer that averages by itself.

    Returns:
        The average.
    """
    if isinstance(optimizer, ScheduleFree):
        return AveragedPoint(optimizer)
    return WeightAverage(network, recipe.averaging)


def set_rate(optimizer: torch.optim.Optimizer, rate: float, momentum: float) -> None:
    """Set the learning rate of every group, by its share, and the momentum where there is one.

    Args:
        optimizer: From `optimizer_of`.
        rate: The run's rate at this step.
        momentum: From 0 up to 1; AdamW and schedule-free steps have none to set.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]
        if "momentum" in group:
            group["momentum"] = momentum


def rate_of(optimizer: torch.optim.Optimizer) -> float:
    """Tell the run's rate, that of a group whose share is 1.

    Args:
        optimizer: From `optimizer_of`.

    Returns:
        As it was set last.
    """
    group = optimizer.param_groups[0]
    return float(group["lr"] / group["share"])


def _rate(recipe: TrainingRecipe) -> float:
    """Return the rate that stands until the first one is set."""
    return recipe.learning_rate or 0.0


def _sgd(
    network: nn.Module, recipe: TrainingRecipe, shares: Shares | None, team: Team
) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(
        parameter_groups(network, recipe.weight_decay, shares),
        lr=_rate(recipe),
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=_whole(network),
    )
    if recipe.momentum:  # fused steps fail where some parameters of a group have none yet
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _whole(network: nn.Module) -> bool:
    """Say whether parameters are whole tensors; torch has no fused descent for sharded ones."""
    return all(type(parameter.data) is torch.Tensor for parameter in network.parameters())


def _adamw(
    network: nn.Module, recipe: TrainingRecipe, shares: Shares | None, team: Team
) -> torch.optim.Optimizer:
    groups = parameter_groups(network, recipe.weight_decay, shares)
    return torch.optim.AdamW(groups, lr=_rate(recipe), fused=True)


def _muon(
    network: nn.Module, recipe: TrainingRecipe, shares: Shares | None, team: Team
) -> torch.optim.Optimizer:
    groups = parameter_groups(network, recipe.weight_decay, shares, hidden_matrices(network))
    return Muon(
        groups,
        _rate(recipe),
        recipe.momentum,
        bf16=recipe.arithmetic == "bf16",
        fixed_norms=recipe.fixed_norms,
        orthogonalized=partial(shared_directions, team=team),
    )


def _schedule_free(
    network: nn.Module, recipe: TrainingRecipe, shares: Shares | None, team: Team
) -> torch.optim.Optimizer:
    groups = parameter_groups(network, recipe.weight_decay, shares)
    return ScheduleFree(groups, _rate(recipe))


OPTIMIZERS: dict[
    str, Callable[[nn.Module, TrainingRecipe, Shares | None, Team], torch.optim.Optimizer]
] = {
    "sgd": _sgd,
    "adamw": _adamw,
    "muon": _muon,
    "schedule-free": _schedule_free,
}
