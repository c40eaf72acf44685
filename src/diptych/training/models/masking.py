"""Masks over features of sound while a network is trained: some bands and some frames are hidden.

Shapes: N items, M mel bands, F frames.

Source: D. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech
Recognition", 2019, without time warping.
"""

import torch
from torch import Tensor, nn


class Masks(nn.Module):
    """Hides one run of bands and one of frames of each item while a network is trained.

    Args:
        bands: The longest run of bands, as a share of M.
        frames: The longest run of frames, as a share of F.

    Of a batch that `size` processes share evenly these are the items of process `rank`.
    """

    def __init__(self, bands: float, frames: float) -> None:
        super().__init__()
        self.bands, self.frames = bands, frames
        self.rank, self.size = 0, 1

    def forward(self, features: Tensor) -> Tensor:
        """Hide them, with torch's global generator.

        Args:
            features: (N, M, F), scaled so that 0 is the mean.

        Returns:
            The same shape, 0 where it is hidden.
        """
        if not self.training:
            return features
        bands, frames = self._runs(features, 1, self.bands), self._runs(features, 2, self.frames)
        return features.masked_fill(bands[:, :, None] | frames[:, None, :], 0.0)

    def _runs(self, features: Tensor, axis: int, share: float) -> Tensor:
        """Draw a run per item along an axis of length L: bool (N, L)."""
        count, length = features.shape[0], features.shape[axis]
        place = torch.arange(length, device=features.device)
        drawn = torch.rand(2, count * self.size, 1, device=features.device)
        extent, free = drawn[:, self.rank * count : (self.rank + 1) * count]
        width = (extent * (int(share * length) + 1)).floor()
        start = (free * (length - width + 1)).floor()
        hidden: Tensor = (place >= start) & (place < start + width)
        return hidden
