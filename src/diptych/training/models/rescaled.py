"""A network whose outputs are values in a target's own unit.

Shapes: N batch, M members of an ensemble, K outputs.
"""

import numpy as np
import torch
from torch import Tensor, nn

from diptych.core.values import Dataset


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
        return self.rescaled(self.network(inputs))

    def rescaled(self, outputs: Tensor) -> Tensor:
        """Bring outputs around 0 to their own unit.

        Args:
            outputs: As the network gives them.

        Returns:
            float32, of the same shape.
        """
        return outputs.float() * self.deviation + self.mean


def target_scale(dataset: Dataset) -> tuple[float, float]:
    """Give the scale of what is told.

    Args:
        dataset: The data.

    Returns:
        Mean and standard deviation of the training targets of a regression; else 0 and 1.
    """
    if dataset.goal != "regression":
        return 0.0, 1.0
    targets = dataset.train.targets.astype(np.float64)
    return float(targets.mean()), float(targets.std()) or 1.0
