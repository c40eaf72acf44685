"""A network whose numbers lie in memory in the order of their axes, as converters want them."""

import copy

from torch import nn


def ordered(network: nn.Module) -> nn.Module:
    """Copy a network with the numbers of each tensor in order.

    LiteRT Torch 0.10 knows weights by their address, and copies those that are in another order;
    such a copy is gone when the next takes its place, and is taken for it. ExecuTorch 1.5 refuses
    them.

    Args:
        network: Any.

    Returns:
        One that computes the same, in eval mode.
    """
    twin = copy.deepcopy(network).eval()
    for numbers in (*twin.parameters(), *twin.buffers()):
        numbers.data = numbers.data.contiguous()
    return twin
