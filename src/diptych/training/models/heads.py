"""Heads of attention that can be taken out: an attention says which layers make and take them.

Shapes: H heads, S numbers per head, W numbers per step.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn


class Projections(NamedTuple):
    """The layers of W to one or more times H S numbers, and the one of H S to W."""

    makers: tuple[nn.Linear, ...]
    taker: nn.Linear


@runtime_checkable
class Headed(Protocol):
    """A layer that splits what its makers give by `heads`, whatever number that is."""

    heads: int

    def projections(self) -> Projections:
        """Give the layers before and after the heads."""
        ...


def head_size(attention: Headed) -> int:
    """Say how many numbers a head has.

    Args:
        attention: The attention.

    Returns:
        S.
    """
    return attention.projections().taker.in_features // attention.heads


def keep_heads(attention: Headed, kept: Sequence[int]) -> None:
    """Take heads out of an attention, in place.

    Args:
        attention: The attention.
        kept: The numbers of the heads that stay, at least one.
    """
    makers, taker = attention.projections()
    by_head = (-1, attention.heads, head_size(attention))
    chosen = torch.as_tensor(list(kept))
    for maker in makers:
        maker.weight = nn.Parameter(_rows(maker.weight, by_head, chosen))
        maker.out_features = len(maker.weight)
        if maker.bias is not None:
            maker.bias = nn.Parameter(_rows(maker.bias, by_head, chosen))
    columns = torch.unflatten(taker.weight.detach(), 1, by_head[1:])[:, chosen]
    taker.weight = nn.Parameter(columns.flatten(1).clone())
    taker.in_features = taker.weight.shape[1]
    attention.heads = len(chosen)


def _rows(
    values: torch.Tensor, by_head: tuple[int, int, int], chosen: torch.Tensor
) -> torch.Tensor:
    """Return the rows of some heads of (M H S, ...), for each of M makers in one."""
    return torch.unflatten(values.detach(), 0, by_head)[:, chosen].flatten(0, 2).clone()
