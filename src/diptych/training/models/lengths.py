"""Texts of about the same length computed together, so that little padding is computed.

Shapes: N texts, L tokens, K outputs.
"""

from collections.abc import Callable

import torch
from torch import Tensor

GROUP = 16


def by_length(compute: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
    """Compute outputs of a batch in groups of texts, the shortest first.

    An exported graph computes all texts at once: where it runs, texts come one by one. So does a
    graphics processor, which has room for padding and no time to tell lengths.

    Args:
        compute: From int32 (n, l) to (n, K), the same whatever padding there is.
        tokens: int32 (N, L), zeros after each text.

    Returns:
        (N, K), what it computes from all of them at once.
    """
    if torch.compiler.is_exporting() or tokens.is_cuda or len(tokens) < 2 * GROUP:
        return compute(tokens)
    lengths = (tokens > 0).sum(1)
    order = lengths.argsort()
    outputs = [
        compute(tokens[group, : max(1, int(lengths[group[-1]]))])
        for group in torch.split(order, GROUP)
    ]
    return torch.cat(outputs)[order.argsort()]
