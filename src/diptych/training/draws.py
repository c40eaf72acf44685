"""What a network draws at random for its items: in a team, each process has its rows of one draw.

Every process draws for the whole batch, from one seed, and keeps what is of its own items. So what
is forgotten is a function of the seed, the step and the item's place, whoever computes it; the
price is that each process draws as many numbers as one process would.

Shapes: N items of a batch that a team shares, n of them this process's, ... other axes.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from diptych.training.models.masking import Masks


class TeamDropout(nn.Dropout):
    """A dropout of a share of a batch.

    Args:
        dropout: That of the whole batch; it is given back by `origin`.
        rank: Of this process.
        size: How many processes there are.
    """

    def __init__(self, dropout: nn.Dropout, rank: int, size: int) -> None:
        super().__init__(dropout.p)
        self._origin, self.rank, self.size = (dropout,), rank, size
        self.train(dropout.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Forget a share of the numbers.

        Args:
            inputs: (n, ...).

        Returns:
            The same shape.
        """
        if not self.training or self.p == 0:
            return inputs
        kept = functional.dropout(_ones(inputs, self.size * len(inputs)), self.p)
        return inputs * kept.chunk(self.size)[self.rank].clone()  # the others' share is let go of

    def origin(self) -> nn.Dropout:
        """Give the dropout that this one stands for.

        Returns:
            It, training or not as this one.
        """
        return self._origin[0].train(self.training)


def seed_draws(seed: int, device: torch.device) -> None:
    """Let what a network draws from here on depend on nothing else.

    Args:
        seed: The same in each process of a team.
        device: Where the network is.
    """
    torch.default_generator.manual_seed(seed)  # torch's own function takes 0.1 ms
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def share_draws(network: nn.Module, rank: int, size: int) -> None:
    """Let a network draw for its rows of a batch that a team shares, in place.

    Args:
        network: It holds the same weights under the same names as before.
        rank: Of this process; its rows are those of so many equal shares before it.
        size: How many processes there are; their generators are in one state.
    """
    for parent, name, dropout in _children(network, nn.Dropout):
        setattr(parent, name, TeamDropout(dropout, rank, size))
    _place_rows(network, rank, size)


def draw_alone(network: nn.Module) -> None:
    """Let a network draw for whole batches again, in place.

    Args:
        network: From :func:`share_draws`.
    """
    for parent, name, dropout in _children(network, TeamDropout):
        setattr(parent, name, dropout.origin())
    _place_rows(network, 0, 1)


def _children(network: nn.Module, kind: type) -> Iterator[tuple[nn.Module, str, Any]]:
    parents = list(network.modules())
    return (
        (parent, name, child)
        for parent in parents
        for name, child in list(parent.named_children())
        if type(child) is kind
    )


def _place_rows(network: nn.Module, rank: int, size: int) -> None:
    for module in network.modules():
        if isinstance(module, Masks):
            module.rank, module.size = rank, size


def _ones(inputs: Tensor, count: int) -> Tensor:
    """Return ones for so many items that lie in memory as the inputs do: the order of drawing."""
    order = sorted(range(inputs.dim()), key=inputs.stride().__getitem__, reverse=True)
    sizes = [count if axis == 0 else inputs.shape[axis] for axis in order]
    places = torch.tensor(order).argsort().tolist()
    return inputs.new_ones(sizes).permute(places)
