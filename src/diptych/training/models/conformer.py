"""A small conformer for sound: attention sees the whole of it, convolutions what lies near.

Shapes: N batch, T samples, M mel bands, F frames, L = F / 4 steps, D width, H heads, S numbers
per head, K outputs.

Source: A. Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition",
2020. Changed: no positions in the attention, for the convolutions know them; ReLU for Swish; a
global maximum at the end.
"""

import math
from typing import Annotated

import torch
from msgspec import Meta, field
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.errors import ConfigError
from diptych.core.specs import AudioSpec, Value
from diptych.training.models.heads import Projections
from diptych.training.models.logmel import LogMel, LogMelConfig
from diptych.training.models.masking import Masks

Share = Annotated[float, Meta(ge=0.0, lt=1.0)]


class ConformerConfig(Value, tag_field="name", tag="conformer"):
    """The shape of a network.

    `width` is D, a multiple of `heads`; `kernel` is how many steps of about 64 ms a convolution in
    time spans, odd. `stem` is the number of channels before. `masked_bands` and `masked_frames`
    are the longest masks in training, as shares of all.
    """

    width: Annotated[int, Meta(ge=8, le=1024)] = 96
    blocks: Annotated[int, Meta(ge=1, le=32)] = 3
    heads: Annotated[int, Meta(ge=1, le=16)] = 4
    kernel: Annotated[int, Meta(ge=1, le=63)] = 7
    stem: Annotated[int, Meta(ge=1, le=256)] = 32
    dropout: Share = 0.1
    masked_bands: Share = 0.2
    masked_frames: Share = 0.2
    features: LogMelConfig = field(default_factory=LogMelConfig)

    def __post_init__(self) -> None:
        """Check what concerns more than one field.

        Raises:
            ConfigError: If the width cannot be shared among the heads, or the kernel is even.
        """
        if self.width % self.heads or self.kernel % 2 == 0:
            raise ConfigError(
                f"width {self.width} with {self.heads} heads, kernel {self.kernel}",
                "the width must be a multiple of the heads, the kernel odd",
            )

    def scaled(self, factor: float) -> "ConformerConfig":
        """Make the network narrower or wider.

        Args:
            factor: What to multiply widths by; the width stays a multiple of 8 and of the heads.

        Returns:
            The scaled shape.
        """
        step = math.lcm(8, self.heads)
        width = min(1024 // step, max(1, round(self.width * factor / step))) * step
        stem = min(256, max(8, 8 * round(self.stem * factor / 8)))
        return replace(self, width=width, stem=stem)


class Conformer(nn.Module):
    """Raw samples in, logits out.

    Args:
        config: The shape of the network.
        spec: The sounds it takes.
        outputs: K.
    """

    def __init__(self, config: ConformerConfig, spec: AudioSpec, outputs: int) -> None:
        super().__init__()
        self.config = config
        self.features = LogMel(config.features, spec)
        self.mask = Masks(config.masked_bands, config.masked_frames)
        self.stem = nn.Sequential(
            nn.Conv2d(1, config.stem, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(config.stem),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.stem, config.stem, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(config.stem),
            nn.ReLU(inplace=True),
        )
        self.inward = nn.Linear(config.stem * -(-config.features.bands // 4), config.width)
        self.blocks = nn.Sequential(*(ConformerBlock(config) for _ in range(config.blocks)))
        self.head = nn.Linear(config.width, outputs)

    def forward(self, samples: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            samples: int16 (N, T).

        Returns:
            Logits (N, K), of the dtype the network computes in.
        """
        features = self.mask(self.features(samples))
        x = self.stem(features.unsqueeze(1))  # (N, C, M / 4, L)
        x = self.inward(x.flatten(1, 2).transpose(1, 2))  # (N, L, D)
        logits: Tensor = self.head(self.blocks(x).amax(1))
        return logits

    def learn_scaling(self, inputs: Tensor) -> None:
        """Learn the scaling of features from training sounds.

        Args:
            inputs: int16 (N, T).
        """
        self.features.learn_scaling(inputs)


class ConformerBlock(nn.Module):
    """Half a step of a dense layer, attention, convolution, half a step again; then a norm.

    Args:
        config: Width, heads, kernel and dropout.
    """

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.first = _dense(config)
        self.attention = Attention(config)
        self.convolution = TimeConvolution(config)
        self.second = _dense(config)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, L, D) to the same shape."""
        x = x + 0.5 * self.first(x)
        x = x + self.attention(x)
        x = x + self.convolution(x)
        normed: Tensor = self.norm(x + 0.5 * self.second(x))
        return normed


class Attention(nn.Module):
    """Every step takes from all steps what its heads ask for.

    Args:
        config: Width, heads and dropout.
    """

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = nn.LayerNorm(config.width)
        self.inward = nn.Linear(config.width, 3 * config.width)
        self.outward = nn.Linear(config.width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, L, D) to the same shape."""
        split = torch.unflatten(self.inward(self.norm(x)), 2, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # (N, H, L, S) each
        scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
        taken = scores.softmax(3) @ value
        dropped: Tensor = self.dropout(self.outward(taken.transpose(1, 2).flatten(2)))
        return dropped

    def projections(self) -> Projections:
        """Give the layers before and after the heads."""
        return Projections((self.inward,), self.outward)


class TimeConvolution(nn.Module):
    """A gated dense layer, a convolution in time of each channel, and a dense layer.

    Args:
        config: Width, kernel and dropout.
    """

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width)
        self.inward = nn.Linear(width, 2 * width)
        self.convolution = nn.Conv1d(
            width, width, config.kernel, padding=config.kernel // 2, groups=width, bias=False
        )
        self.channel_norm = nn.BatchNorm1d(width)
        self.outward = nn.Linear(width, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, L, D) to the same shape."""
        x = functional.glu(self.inward(self.norm(x)), 2).transpose(1, 2)  # (N, D, L)
        x = functional.relu(self.channel_norm(self.convolution(x)))
        dropped: Tensor = self.dropout(self.outward(x.transpose(1, 2)))
        return dropped


def _dense(config: ConformerConfig) -> nn.Sequential:
    width = config.width
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, 4 * width),
        nn.ReLU(inplace=True),
        nn.Dropout(config.dropout),
        nn.Linear(4 * width, width),
        nn.Dropout(config.dropout),
    )
