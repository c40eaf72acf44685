"""Whole batches of varied sounds: moving and changing speed are one interpolation.

Shapes: N all items, B batch, T samples.
"""

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from diptych.core.specs import Value
from diptych.training.sending import generator_on, sent

FULL_SCALE = 32_768
NOISE_SPAN = 100.0


class SoundVariation(Value, tag="sound"):
    """How far sounds are changed; every extent is drawn anew for each item.

    They are moved by up to `shift` of their length and played up to `speed` faster or slower, both
    as shares, and made up to `gain_db` louder or softer. White noise is added, of up to `noise` of
    the sound's effective amplitude and of a hundredth of that at least.
    """

    shift: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.1
    speed: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.1
    gain_db: Annotated[float, Meta(ge=0.0, le=40.0)] = 6.0
    noise: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.1


class SoundBatches:
    """Draws varied batches from sounds that stay as they are.

    Args:
        samples: int16 (N, T).
        variation: How far they are changed.
        generator: Not used.
    """

    def __init__(
        self, samples: Tensor, variation: SoundVariation, generator: torch.Generator
    ) -> None:
        self.samples = samples
        self.variation = variation

    def draw(self, chosen: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Make one batch.

        Args:
            chosen: int64 (B,), indices of the items.
            epoch: Not used.
            generator: The stream of randomness of this batch.

        Returns:
            int16 (B, T).
        """
        sounds = self._moved(self.samples[chosen].float(), generator)
        if self.variation.noise:
            sounds = sounds + self._noise(sounds, generator)
        sounds = sounds * 10 ** (self._extent(sounds, generator) * self.variation.gain_db / 20)
        return sounds.round().clamp(-FULL_SCALE, FULL_SCALE - 1).to(torch.int16)

    def _moved(self, sounds: Tensor, generator: torch.Generator) -> Tensor:
        """Move (B, T) and change its speed about its middle; silence comes in from outside."""
        length = sounds.shape[1]
        middle = (length - 1) / 2
        shift = self._extent(sounds, generator) * self.variation.shift * length
        speed = 1 + self._extent(sounds, generator) * self.variation.speed
        place = (torch.arange(length, device=sounds.device) - middle - shift) * speed + middle + 1
        place = place.clamp(0, length + 1)
        before = place.floor().long().clamp_max(length)
        share = place - before
        padded = torch.nn.functional.pad(sounds, (1, 1))
        return padded.gather(1, before) * (1 - share) + padded.gather(1, before + 1) * share

    def _noise(self, sounds: Tensor, generator: torch.Generator) -> Tensor:
        amplitude = sounds.square().mean(1, keepdim=True).sqrt() * self.variation.noise
        share = NOISE_SPAN ** -torch.rand(len(sounds), 1, generator=generator)
        there = generator_on(sounds.device, generator)
        noise = torch.randn(sounds.shape, generator=there, device=sounds.device)
        return noise * amplitude * sent(share, sounds.device)

    @staticmethod
    def _extent(sounds: Tensor, generator: torch.Generator) -> Tensor:
        """Draw (B, 1) from -1 to 1."""
        drawn = 2 * torch.rand(len(sounds), 1, generator=generator) - 1
        return sent(drawn, sounds.device)
