"""A convolutional network for sound: depthwise and pointwise convolutions over log-mel features.

Shapes: N batch, T samples, M mel bands, F frames, C channels, K outputs.

Source: Y. Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017. Changed: widths
and strides per block, masks in training, a global maximum at the end as in `resnet`.
"""

from itertools import pairwise
from typing import Annotated

import torch
from msgspec import Meta, field
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.core.errors import ConfigError
from diptych.core.specs import AudioSpec, Value
from diptych.training.models.logmel import LogMel, LogMelConfig
from diptych.training.models.masking import Masks

LOGIT_SCALE = 0.25
STEM_KERNEL, KERNEL = 5, 3

Width = Annotated[int, Meta(ge=1, le=1024)]
Stride = Annotated[int, Meta(ge=1, le=4)]
Share = Annotated[float, Meta(ge=0.0, lt=1.0)]


class DepthwiseNetConfig(Value, tag_field="name", tag="dscnn"):
    """The shape of a network.

    `stem` is the number of channels of the first convolution, which is 5 x 5 and halves bands and
    frames. `widths` and `strides` have one entry per block: its channels, and by how much it thins
    bands and frames. `masked_bands` and `masked_frames` are the longest masks in training, as
    shares of all; `dropout` is before the head.
    """

    stem: Width = 24
    widths: tuple[Width, ...] = (48, 64, 96, 128)
    strides: tuple[Stride, ...] = (2, 1, 2, 1)
    dropout: Share = 0.1
    masked_bands: Share = 0.2
    masked_frames: Share = 0.2
    features: LogMelConfig = field(default_factory=LogMelConfig)

    def __post_init__(self) -> None:
        """Check what concerns more than one field.

        Raises:
            ConfigError: If there is not one stride for each width.
        """
        if len(self.widths) != len(self.strides):
            raise ConfigError(f"{len(self.widths)} widths and {len(self.strides)} strides")

    def scaled(self, factor: float) -> "DepthwiseNetConfig":
        """Make the network narrower or wider.

        Args:
            factor: What to multiply every width by; widths stay multiples of 8.

        Returns:
            The scaled shape.
        """
        widths = tuple(_vectorized(width * factor) for width in self.widths)
        return replace(self, stem=_vectorized(self.stem * factor), widths=widths)


class DepthwiseNet(nn.Module):
    """Raw samples in, logits out.

    Args:
        config: The shape of the network.
        spec: The sounds it takes.
        outputs: K.
    """

    def __init__(self, config: DepthwiseNetConfig, spec: AudioSpec, outputs: int) -> None:
        super().__init__()
        self.config = config
        self.features = LogMel(config.features, spec)
        self.mask = Masks(config.masked_bands, config.masked_frames)
        widths = (config.stem, *config.widths)
        blocks = [
            block
            for (inputs, width), stride in zip(pairwise(widths), config.strides, strict=True)
            for block in (depthwise(inputs, stride), pointwise(inputs, width))
        ]
        self.body = nn.Sequential(stem(config.stem), *blocks)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(widths[-1], outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch allows it

    def forward(self, samples: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            samples: int16 (N, T).

        Returns:
            Logits (N, K), of the dtype the network computes in.
        """
        return self.outputs_of(self.last_features(samples))

    def last_features(self, samples: Tensor) -> Tensor:
        """Map samples (N, T) to features (N, C, M', F')."""
        features = self.mask(self.features(samples))
        last: Tensor = self.body(features.unsqueeze(1))
        return last

    def outputs_of(self, features: Tensor) -> Tensor:
        """Map features (N, C, M', F') to logits (N, K)."""
        logits: Tensor = self.head(self.dropout(features.amax((2, 3)))) * LOGIT_SCALE
        return logits

    def learn_scaling(self, inputs: Tensor) -> None:
        """Learn the scaling of features from training sounds.

        Args:
            inputs: int16 (N, T).
        """
        self.features.learn_scaling(inputs)


def stem(width: int) -> nn.Sequential:
    """Make the first convolution: (N, 1, M, F) to (N, C, M / 2, F / 2)."""
    return _normed(nn.Conv2d(1, width, STEM_KERNEL, stride=2, padding=STEM_KERNEL // 2, bias=False))


def depthwise(width: int, stride: int) -> nn.Sequential:
    """Make a convolution 3 x 3 of each channel for itself, thinned by the stride."""
    convolution = nn.Conv2d(
        width, width, KERNEL, stride=stride, padding=KERNEL // 2, groups=width, bias=False
    )
    return _normed(convolution)


def pointwise(inputs: int, width: int) -> nn.Sequential:
    """Make a convolution 1 x 1, which mixes the channels."""
    return _normed(nn.Conv2d(inputs, width, 1, bias=False))


def _normed(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(
        convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)
    )


def _vectorized(width: float) -> int:
    """Return the nearest multiple of 8, at least 8."""
    return max(8, 8 * round(width / 8))
