"""Variation: training items changed in ways that keep what is told of them, in whole batches."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from diptych.training.variation.pictures import PictureBatches, PictureVariation
from diptych.training.variation.sounds import SoundBatches, SoundVariation
from diptych.training.variation.texts import TextBatches, TextVariation

__all__ = [
    "BATCHES",
    "Batches",
    "PictureVariation",
    "SoundVariation",
    "TextVariation",
    "Variation",
    "batches_of",
]

Variation = PictureVariation | SoundVariation | TextVariation


class Batches(Protocol):
    """Draws batches of varied items; what they are made from stays as it is."""

    def draw(self, chosen: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Make one batch.

        Args:
            chosen: int64 (B,), indices of the items.
            epoch: Counts from 0.
            generator: The stream of randomness of this batch, on the processor.

        Returns:
            (B, ...) of the type of the items.
        """
        ...


class PlainBatches:
    """Draws items as they are.

    Args:
        inputs: Raw inputs (N, ...).
    """

    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs

    def draw(self, chosen: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Make one batch.

        Args:
            chosen: int64 (B,), indices of the items.
            epoch: Not used.
            generator: Not used.

        Returns:
            (B, ...), copies.
        """
        return self.inputs[chosen]


BATCHES: dict[type, Callable[[Tensor, Any, torch.Generator], Batches]] = {
    PictureVariation: PictureBatches,
    SoundVariation: SoundBatches,
    TextVariation: TextBatches,
}


def batches_of(inputs: Tensor, variation: Variation | None, generator: torch.Generator) -> Batches:
    """Make what draws batches of varied items.

    Args:
        inputs: Raw inputs (N, ...).
        variation: How to vary them; None for not at all.
        generator: The stream of what is drawn once for all batches.

    Returns:
        The source of batches.
    """
    if variation is None:
        return PlainBatches(inputs)
    return BATCHES[type(variation)](inputs, variation, generator)
