"""Log-mel spectrogram of raw samples, as products with small constant matrices.

A frame is two or more hops. Its spectrum comes from a Fourier transform in two factors (256 = 16 x
16), so that a few kilobytes are stored instead of 264; a mel band is multiplied with the bins it
covers only. Constants stand on the left of every product: quantizers take what stands on the right
for a layer's weights, so the features stay in float when the rest becomes int8.

Shapes: N batch, T samples, S = A x B samples per frame, F frames, M mel bands.

Source: J. Cooley and J. Tukey, "An algorithm for the machine calculation of complex Fourier
series", 1965; mel scale of the Hidden Markov Model Toolkit, triangles of height 1.
"""

import math
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn

from diptych.core.errors import ConfigError
from diptych.core.specs import AudioSpec, Value
from diptych.tasks.audio import FULL_SCALE, hop_samples

ROWS = 16
BANDS_PER_PRODUCT = 10


class LogMelConfig(Value):
    """What is kept of a sound.

    `bands` mel bands from `lowest_hz` to half the sample rate; a frame spans `hops` hops of about
    16 ms. `floor` is added to every band's power, that of a full scale of 1: below it all is
    silence.
    """

    bands: Annotated[int, Meta(ge=8, le=128)] = 40
    hops: Annotated[int, Meta(ge=2, le=4)] = 2
    lowest_hz: Annotated[float, Meta(ge=0.0, le=400.0)] = 20.0
    floor: Annotated[float, Meta(gt=0.0, le=1.0)] = 1e-5


class LogMel(nn.Module):
    """Samples in, scaled log-mel bands out; nothing in it is learned by gradients.

    Args:
        config: What to keep.
        spec: The sounds it takes.

    Raises:
        ConfigError: If the sounds are shorter than a frame.
    """

    window: Tensor
    first: Tensor
    cosine: Tensor
    sine: Tensor
    second: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, config: LogMelConfig, spec: AudioSpec) -> None:
        super().__init__()
        self.hop, self.hops = hop_samples(spec.sample_rate), config.hops
        self.chunks = spec.samples // self.hop
        self.frames = self.chunks - config.hops + 1
        if self.frames < 1:
            raise ConfigError(
                f"sounds of {spec.samples} samples are shorter than a frame of "
                f"{config.hops * self.hop}",
                "take longer sounds, or fewer hops per frame",
            )
        self.floor = config.floor
        size = config.hops * self.hop
        constants = fourier_factors(ROWS, size // ROWS)
        constants["window"] = np.hanning(size + 1)[:-1, None] / FULL_SCALE
        self.spans = []
        bank = mel_bank(config, spec.sample_rate, size)
        for number, start in enumerate(range(0, config.bands, BANDS_PER_PRODUCT)):
            bands = bank[start : start + BANDS_PER_PRODUCT]
            used = np.flatnonzero(bands.any(axis=0))
            span = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
            self.spans.append(span)
            constants[f"bands_{number}"] = bands[:, slice(*span)]
        for name, array in constants.items():
            self.register_buffer(name, torch.from_numpy(array).float(), persistent=False)
        self.register_buffer("mean", torch.zeros(config.bands, 1))
        self.register_buffer("deviation", torch.ones(config.bands, 1))

    def forward(self, samples: Tensor) -> Tensor:
        """Compute the features.

        Args:
            samples: int16 (N, T).

        Returns:
            float32 (N, M, F).
        """
        with torch.no_grad(), torch.autocast(samples.device.type, enabled=False):
            features = torch.log(self.powers(samples) + self.floor)
            return (features - self.mean) / self.deviation

    def powers(self, samples: Tensor) -> Tensor:
        """Compute the power in each mel band.

        Args:
            samples: int16 (N, T).

        Returns:
            float32 (N, M, F).
        """
        spectrum = self.spectrum(samples)
        parts = [
            getattr(self, f"bands_{number}") @ spectrum[:, low:high]
            for number, (low, high) in enumerate(self.spans)
        ]
        return torch.cat(parts, 1)

    def spectrum(self, samples: Tensor) -> Tensor:
        """Compute the power at each frequency below half the sample rate.

        Args:
            samples: int16 (N, T).

        Returns:
            float32 (N, S / 2, F).
        """
        n, columns = samples.shape[0], self.cosine.shape[1]
        x = samples[:, : self.chunks * self.hop].float()
        x = x.reshape(n, self.chunks, self.hop).transpose(1, 2)
        x = torch.cat([x[:, :, hop : hop + self.frames] for hop in range(self.hops)], 1)
        x = (x * self.window).reshape(n, ROWS, columns * self.frames)
        x = (self.first @ x).reshape(n, 2, ROWS, columns, self.frames)
        real, imaginary = x[:, 0], x[:, 1]  # (N, A, B, F)
        turned = (
            real * self.cosine + imaginary * self.sine,
            imaginary * self.cosine - real * self.sine,
        )
        x = self.second @ torch.cat(turned, 2)  # (N, A, B, F)
        x = x * x
        x = x[:, :, : columns // 2] + x[:, :, columns // 2 :]
        return x.transpose(1, 2).reshape(n, ROWS * columns // 2, self.frames)

    def learn_scaling(self, samples: Tensor) -> None:
        """Learn each band's mean and deviation.

        Args:
            samples: int16 (N, T) of the training split.
        """
        features = torch.log(self.powers(samples) + self.floor).double()
        self.mean.copy_(features.mean((0, 2)).view(-1, 1))
        self.deviation.copy_(features.std((0, 2)).clamp_min(0.1).view(-1, 1))


def fourier_factors(rows: int, columns: int) -> dict[str, np.ndarray]:
    """Split the transform of rows x columns real numbers in two, without the upper half.

    Sample ``columns * a + b`` and frequency ``i + rows * j`` meet as (a, i), (b, i) and (b, j).

    Args:
        rows: A.
        columns: B, even.

    Returns:
        ``first`` (2A, A), from samples to real and imaginary parts; ``cosine`` and ``sine``
        (A, B, 1), the turn between; ``second`` (B, 2B), to real and imaginary parts of B / 2.
    """
    inner = 2 * np.pi * np.outer(np.arange(rows), np.arange(rows)) / rows
    turn = 2 * np.pi * np.outer(np.arange(rows), np.arange(columns)) / (rows * columns)
    outer = 2 * np.pi * np.outer(np.arange(columns // 2), np.arange(columns)) / columns
    cosine, sine = np.cos(outer), np.sin(outer)
    return {
        "first": np.concatenate([np.cos(inner), -np.sin(inner)]),
        "cosine": np.cos(turn)[:, :, None],
        "sine": np.sin(turn)[:, :, None],
        "second": np.block([[cosine, sine], [-sine, cosine]]),
    }


def mel_bank(config: LogMelConfig, sample_rate: int, size: int) -> np.ndarray:
    """Make the triangles that gather frequencies into mel bands.

    Args:
        config: How many bands, and where they begin.
        sample_rate: Samples per second.
        size: S, samples per frame.

    Returns:
        (M, S / 2): each triangle rises from its lower neighbour's middle to 1 at its own, and
        falls to its upper neighbour's.
    """
    half = sample_rate / 2
    lowest, highest = (2595 * math.log10(1 + hz / 700) for hz in (config.lowest_hz, half))
    edges = 700 * (10 ** (np.linspace(lowest, highest, config.bands + 2) / 2595) - 1)
    frequencies = np.arange(size // 2) * sample_rate / size
    slopes = (frequencies - edges[:, None]) / np.diff(edges, append=np.inf)[:, None]
    bank: np.ndarray = np.minimum(slopes[:-2], 1 - slopes[1:-1]).clip(0)
    return bank
