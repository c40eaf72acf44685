"""A network for small pictures that learns in few epochs: a first layer that is not learned.

The first convolution makes patches of pixels uncorrelated and equally strong, in the directions of
their principal components and their opposites; it is computed from training pictures and stays as
it is, so that every layer after it learns from whitened inputs from the first step on.

Shapes: N batch, H height, W width, C channels of the picture, K classes, P values of a patch.

Source: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024 (arXiv 2404.00498): the
whitening, the identity in each convolution's first weights, norms without scale, the scaled head.
Changed: the first layer has no bias either, so that nothing before the second one is computed
backwards.
"""

import torch
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec, Value
from diptych.training.models.pixels import PixelNet
from diptych.training.models.resnet import Width

PATCH = 2
LEAST_VARIANCE = 5e-4
PATCHES_SEEN = 2_000_000


class WhitenedNetConfig(Value, tag_field="name", tag="whitened"):
    """The shape of a network: the channels of each stage, which halves height and width.

    One that is `mirrored` answers with the mean over a picture and its mirror image.
    """

    widths: tuple[Width, ...]
    mirrored: bool = False

    def scaled(self, factor: float) -> "WhitenedNetConfig":
        """Make the network narrower or wider.

        Args:
            factor: What to multiply every width by; widths stay multiples of 16.

        Returns:
            The scaled shape.
        """
        widths = tuple(max(16, 16 * round(width * factor / 16)) for width in self.widths)
        return replace(self, widths=widths)


class WhitenedNet(PixelNet):
    """Raw pixels in, logits out.

    Args:
        config: The shape of the network.
        spec: The pictures it takes.
        outputs: K.

    Raises:
        ConfigError: If the pictures cannot be halved so often.
    """

    def __init__(self, config: WhitenedNetConfig, spec: ImageSpec, outputs: int) -> None:
        super().__init__(spec, mirrored=config.mirrored)
        stages, side = len(config.widths), min(spec.height, spec.width) - PATCH + 1
        if side >> stages == 0:
            raise ConfigError(
                f"pictures of {side + PATCH - 1} pixels cannot be halved {stages} times",
                "give the network fewer widths, or raise --image-size",
            )
        channels = 2 * spec.channels * PATCH**2
        self.whiten = nn.Conv2d(spec.channels, channels, PATCH, bias=False)
        self.whiten.weight.requires_grad_(False)
        layers: list[nn.Module] = []
        for width in config.widths:
            layers.append(Stage(channels, width))
            channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels, outputs, bias=False)
        with torch.no_grad():
            self.head.weight /= self.head.weight.std()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch allows it

    def logits_of(self, pixels: Tensor) -> Tensor:
        """Map uint8 (N, H, W, C), as they are, to logits (N, K)."""
        x = functional.gelu(self.whiten(self.scaled(pixels)))
        x = self.body(x).amax((2, 3))
        logits: Tensor = self.head(x) / x.shape[1]
        return logits

    @torch.no_grad()
    def learn_scaling(self, pixels: Tensor) -> None:
        """Learn the scaling of pixels and the whitening of patches from training pictures.

        Args:
            pixels: uint8 (N, H, W, C).
        """
        super().learn_scaling(pixels)
        some = pixels[:: max(1, pixels[..., 0].numel() // PATCHES_SEEN)]
        directions = principal_directions(self.scaled(some))
        self.whiten.weight.copy_(torch.cat([directions, -directions]))


class Stage(nn.Module):
    """Two convolutions 3x3, each with a batch norm and GELU; the first one's result is halved.

    The norms have no scale. The first weights pass on as many channels as there are.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _identity(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
        self.second = _identity(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False))
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(2))
        for norm in self.norms:
            norm.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H // 2, W // 2)."""
        x = functional.max_pool2d(self.first(x), 2)
        x = functional.gelu(self.norms[0](x))
        return functional.gelu(self.norms[1](self.second(x)))


def principal_directions(x: Tensor) -> Tensor:
    """Find filters whose answers to the patches of pictures are uncorrelated, of variance 1.

    Args:
        x: Scaled pictures (N, C, H, W).

    Returns:
        (P, C, PATCH, PATCH), of a patch of P = C * PATCH**2 values.
    """
    channels = x.shape[1]
    windows = x.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # (N, C, H', W', PATCH, PATCH)
    patches = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels * PATCH**2).double()
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    directions = vectors.T / (values + LEAST_VARIANCE).sqrt()[:, None]
    filters: Tensor = directions.view(-1, channels, PATCH, PATCH).to(x.dtype)
    return filters


def _identity(convolution: nn.Conv2d) -> nn.Conv2d:
    """Let a convolution pass on its inputs at first, as far as it has outputs for them."""
    with torch.no_grad():
        nn.init.dirac_(convolution.weight[: convolution.in_channels])
    return convolution
