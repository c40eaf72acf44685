"""A small residual network for pictures that trains fast on a processor and quantizes well.

3x3 convolutions, batch norm and ReLU only; each stage halves the picture by max pooling; the
picture is reduced by a global maximum and the logits are scaled down, which lets the head learn
at the same rate as the body. Scaling of pixels is the first layer of the graph.

Shapes: N batch, H height, W width, C channels, K classes.

Source: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, and D. Page, "How to
train your ResNet", 2018: shape of the network, pooling before the norm, scaled logits. Changed:
ReLU for GELU, a plain trained stem, stages given by widths and blocks.
"""

from typing import Annotated

import torch
from msgspec import Meta
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec, Value
from diptych.training.models.pixels import PixelNet

LOGIT_SCALE = 0.125

Width = Annotated[int, Meta(ge=1, le=4096)]
Blocks = Annotated[int, Meta(ge=0, le=64)]
Factor = Annotated[int, Meta(ge=1, le=16)]


class ResidualNetConfig(Value, tag_field="name", tag="residual"):
    """The shape of a network.

    `widths` and `blocks` have one entry per stage: channels, and residual blocks after the
    stage's convolution. `stem` is the number of channels at full resolution, which is that of the
    picture divided by `downsample`: means over squares of so many pixels. One that is `mirrored`
    answers with the mean over a picture and its mirror image.
    """

    stem: Width
    widths: tuple[Width, ...]
    blocks: tuple[Blocks, ...]
    mirrored: bool = False
    downsample: Factor = 1

    def __post_init__(self) -> None:
        """Check what concerns more than one field.

        Raises:
            ConfigError: If the stages are not told once each.
        """
        if len(self.widths) != len(self.blocks):
            raise ConfigError(f"{len(self.widths)} widths and {len(self.blocks)} blocks")

    def scaled(self, factor: float) -> "ResidualNetConfig":
        """Make the network narrower or wider; the stem never grows, for it costs most time.

        Args:
            factor: What to multiply every width by; widths stay multiples of 16, or become 8.

        Returns:
            The scaled shape.
        """
        widths = tuple(_vectorized(width * factor) for width in self.widths)
        return replace(self, stem=_vectorized(self.stem * min(1.0, factor)), widths=widths)


class ResidualNet(PixelNet):
    """Raw pixels in, logits out.

    Args:
        config: The shape of the network.
        spec: The pictures it takes.
        outputs: K.
    """

    def __init__(self, config: ResidualNetConfig, spec: ImageSpec, outputs: int) -> None:
        super().__init__(spec, mirrored=config.mirrored)
        self.downsample = config.downsample
        stages, side = len(config.widths), min(spec.height, spec.width)
        if side // config.downsample >> stages == 0:
            first = f"divided by {config.downsample} and then " if config.downsample > 1 else ""
            raise ConfigError(
                f"pictures of {side} pixels cannot be {first}halved {stages} times",
                "give the network fewer widths and blocks, or raise --image-size",
            )
        layers: list[nn.Module] = [ConvNormRelu(spec.channels, config.stem)]
        channels = config.stem
        for width, blocks in zip(config.widths, config.blocks, strict=True):
            layers.append(ConvNormRelu(channels, width, pool=True))
            layers.extend(Residual(width) for _ in range(blocks))
            channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels, outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch allows it

    def logits_of(self, pixels: Tensor) -> Tensor:
        """Map uint8 (N, H, W, C), as they are, to logits (N, K)."""
        return self.outputs_of(self.last_features(pixels))

    def last_features(self, pixels: Tensor) -> Tensor:
        """Map pixels (N, H, W, C) to features (N, C', H', W')."""
        scaled = self.scaled(pixels)
        if self.downsample > 1:
            scaled = functional.avg_pool2d(scaled, self.downsample)
        features: Tensor = self.body(scaled)
        return features

    def outputs_of(self, features: Tensor) -> Tensor:
        """Map features (N, C', H', W') to logits (N, K)."""
        logits: Tensor = self.head(features.amax((2, 3))) * LOGIT_SCALE
        return logits


class ConvNormRelu(nn.Module):
    """Convolution 3x3, a 2x2 maximum if asked, batch norm, ReLU.

    With pooling the norm's scale stays 1, so that pooling and norm commute and the norm folds
    into the convolution.
    """

    def __init__(self, inputs: int, outputs: int, *, pool: bool = False) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.norm.weight.requires_grad_(not pool)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H, W), or half of H and W with pooling."""
        x = self.convolution(x)
        if self.pool:
            x = functional.max_pool2d(x, 2)
        return functional.relu(self.norm(x))


class Residual(nn.Module):
    """Two convolutions whose result is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNormRelu(channels, channels)
        self.second = ConvNormRelu(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        added: Tensor = x + self.second(self.first(x))
        return added


def _vectorized(width: float) -> int:
    """Return the nearest width that fills the processor's vectors: 8, or a multiple of 16."""
    return 8 if width < 12 else 16 * round(width / 16)
