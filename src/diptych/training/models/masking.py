"""Masks over features of sound while a network is trained: some bands and some frames are hidden.

Shapes: N batch, M mel bands, F frames.

Source: D. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech
Recognition", 2019, without time warping.
"""

import torch
from torch import Tensor


def mask(features: Tensor, bands: float, frames: float) -> Tensor:
    """Hide one run of bands and one of frames of each item, with torch's global generator.

    Args:
        features: (N, M, F), scaled so that 0 is the mean.
        bands: The longest run of bands, as a share of M.
        frames: The longest run of frames, as a share of F.

    Returns:
        The same shape, 0 where it is hidden.
    """
    hidden = _runs(features, 1, bands)[:, :, None] | _runs(features, 2, frames)[:, None, :]
    return features.masked_fill(hidden, 0.0)


def _runs(features: Tensor, axis: int, share: float) -> Tensor:
    """Draw a run per item along an axis of length L: bool (N, L)."""
    count, length = features.shape[0], features.shape[axis]
    place = torch.arange(length, device=features.device)
    extent, free = torch.rand(2, count, 1, device=features.device)
    width = (extent * (int(share * length) + 1)).floor()
    start = (free * (length - width + 1)).floor()
    hidden: Tensor = (place >= start) & (place < start + width)
    return hidden
