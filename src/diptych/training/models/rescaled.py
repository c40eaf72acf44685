"""A network whose outputs are values in a target's own unit.

Shapes: N batch, M members of an ensemble, K outputs.
"""

import torch
from torch import Tensor, nn


class Rescaled(nn.Module):
    """A network of outputs around 0, brought to the scale of what is to be told.

    Args:
        network: Gives (N, K), or (N, M, K) while it is trained.
        mean: What an output of 0 stands for.
        deviation: What an output of 1 adds; above 0.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, mean: float, deviation: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute values.

        Args:
            inputs: Raw inputs (N, ...).

        Returns:
            float32, of the shape that the network gives.
        """
        values: Tensor = self.network(inputs).float() * self.deviation + self.mean
        return values
