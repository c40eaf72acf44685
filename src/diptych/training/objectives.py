"""What a network is trained towards.

Shapes: B batch, K classes.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(inputs (B, ...), logits float32 (B, K), targets int64 (B,)) to a scalar loss."""


def cross_entropy(label_smoothing: float) -> Objective:
    """Make the objective of learning labels.

    Args:
        label_smoothing: The share of the probability spread over all classes.

    Returns:
        The mean cross entropy, in nats.
    """

    def loss(inputs: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)

    return loss
