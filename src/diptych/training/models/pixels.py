"""What networks for pictures have in common: pixels are scaled by one number for all channels.

A program then subtracts and divides by single numbers, which costs far less than one number per
channel; and as the mean is a whole number, the levels of pixels are those of an 8-bit program.

Shapes: N pictures, H height, W width, C channels.
"""

import torch
from torch import Tensor, nn

from diptych.core.specs import ImageSpec

LEAST_DEVIATION = 1.0


class PixelNet(nn.Module):
    """A network whose first layer scales raw pixels.

    Args:
        spec: The pictures it takes.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, spec.channels, 1, 1), 127.5))
        self.register_buffer("deviation", torch.full((1, spec.channels, 1, 1), 64.0))

    def scaled(self, pixels: Tensor) -> Tensor:
        """Map uint8 (N, H, W, C) to float32 (N, C, H, W)."""
        x = pixels.permute(0, 3, 1, 2).float()
        return (x - self.mean) / self.deviation

    def learn_scaling(self, pixels: Tensor) -> None:
        """Learn the scaling of pixels from training pictures.

        Args:
            pixels: uint8 (N, H, W, C).
        """
        values = pixels.double()
        self.mean.fill_(values.mean().round())
        self.deviation.fill_(values.std().clamp_min(LEAST_DEVIATION))
