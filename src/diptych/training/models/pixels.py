"""What networks for pictures have in common: how pixels are scaled, and pictures mirrored.

Pixels are scaled by one number for all channels: a program then subtracts and divides by single
numbers, which costs far less than one number per channel; and as the mean is a whole number, the
levels of pixels are those of an 8-bit program. A network that is `mirrored` answers, once it is
trained, with the mean of its logits for a picture and for its mirror image, in one pass over both.

Shapes: N pictures, H height, W width, C channels, K classes.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from diptych.core.specs import COLUMNS, ImageSpec

LEAST_DEVIATION = 1.0


class PixelNet(nn.Module):
    """A network whose first layer scales raw pixels.

    Args:
        spec: The pictures it takes.
        mirrored: Whether it also looks at mirror images, which costs twice the time.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, spec: ImageSpec, *, mirrored: bool = False) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.register_buffer("mean", torch.full((1, spec.channels, 1, 1), 127.5))
        self.register_buffer("deviation", torch.full((1, spec.channels, 1, 1), 64.0))

    @property
    def passes(self) -> int:
        """How many times a picture is computed to be answered, in training once."""
        return 2 if self.mirrored else 1

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            pixels: uint8 (N, H, W, C).

        Returns:
            Logits (N, K), of the dtype the network computes in.
        """
        if self.training or not self.mirrored:
            return self.logits_of(pixels)
        logits = self.logits_of(torch.cat([pixels, pixels.flip(COLUMNS)]))
        return logits.view(2, -1, logits.shape[1]).mean(0)

    @abstractmethod
    def logits_of(self, pixels: Tensor) -> Tensor:
        """Map uint8 (N, H, W, C), as they are, to logits (N, K)."""

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
