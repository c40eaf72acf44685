"""A pretrained encoder of pictures, that takes raw pixels: sizes and scales are inside the graph.

Shapes: N pictures, H height, W width, C channels, K outputs.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec, Value
from diptych.training.pretrained import NEEDED_FOR_PICTURES, PREPROCESSOR, content_of

PICTURES_AT_ONCE = 32

Side = Annotated[int, Meta(ge=1, le=1024)]
Scale = Annotated[float, Meta(gt=0.0, le=1e4)]
Sides = dict[str, Side | None] | Side | None


class Preprocessing(msgspec.Struct):
    """What ``preprocessor_config.json`` says of how pictures were prepared."""

    image_mean: list[float] = msgspec.field(default_factory=lambda: [0.0])
    image_std: list[Scale] = msgspec.field(default_factory=lambda: [1.0])
    rescale_factor: Scale = 1 / 255
    do_rescale: bool = True
    do_normalize: bool = True
    crop_size: Sides = None
    size: Sides = None

    def side(self, wanted: object) -> int:
        """Say to which side pictures are brought.

        Args:
            wanted: What the model's configuration says, if anything.

        Returns:
            Pixels.

        Raises:
            ConfigError: If nothing says it.
        """
        for told in (wanted, self.crop_size, self.size):
            sides = list(told.values()) if isinstance(told, dict) else told
            first = next(filter(None, sides), None) if isinstance(sides, list | tuple) else sides
            if isinstance(first, int):
                return first
        raise ConfigError(f"{PREPROCESSOR} tells no size of pictures", NEEDED_FOR_PICTURES)


class Preparation(Value):
    """How pictures are prepared: the `side` in pixels, and a scale of pixels for each channel.

    `mean` and `deviation` are of pixels from 0 to 255.
    """

    side: Side
    mean: Annotated[tuple[float, ...], Meta(min_length=1)]
    deviation: Annotated[tuple[Scale, ...], Meta(min_length=1)]


class PictureEncoder(nn.Module):
    """An encoder with its head, for raw pictures of any size.

    Args:
        model: Maps scaled pictures to logits, or to what has `logits`, as ``transformers`` does.
        channels: How many it takes.
        preparation: What it takes.
        spec: The pictures.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        model: Any,  # noqa: ANN401  an untyped library's object
        channels: int,
        preparation: Preparation,
        spec: ImageSpec,
    ) -> None:
        super().__init__()
        self.model = model
        self.side = preparation.side
        self.channels = channels
        if spec.channels not in {1, self.channels}:
            raise ConfigError(
                f"the encoder takes pictures of {self.channels} channels, not {spec.channels}",
                "choose another encoder",
            )
        for name in ("mean", "deviation"):
            values = torch.tensor(getattr(preparation, name)).view(1, -1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute outputs; outside training, few pictures at once.

        Args:
            pixels: uint8 (N, H, W, C), C 1 or what the encoder takes.

        Returns:
            float32 (N, K).
        """
        if self.training or torch.compiler.is_exporting():
            return self._answer(pixels)
        parts = torch.split(pixels, PICTURES_AT_ONCE)
        return torch.cat([self._answer(some) for some in parts])

    def _answer(self, pixels: Tensor) -> Tensor:
        x = pixels.permute(0, 3, 1, 2).float().expand(-1, self.channels, -1, -1)
        if x.shape[2:] != (self.side, self.side):
            smaller = min(x.shape[2:]) > self.side
            sides = (self.side, self.side)
            x = functional.interpolate(x, sides, mode="bilinear", antialias=smaller)
        told = self.model((x - self.mean) / self.deviation)
        outputs: Tensor = getattr(told, "logits", told)
        return outputs.float()


def picture_encoder(model: Any, preparation: Preparation, spec: ImageSpec) -> PictureEncoder:  # noqa: ANN401
    """Make an encoder of a ``transformers`` model.

    Args:
        model: For image classification, with its head.
        preparation: What it takes.
        spec: The pictures.

    Returns:
        The encoder.
    """
    return PictureEncoder(model, getattr(model.config, "num_channels", 3), preparation, spec)


def preparation_of(folder: Path, model: Any) -> Preparation:  # noqa: ANN401
    """Say how pictures are prepared for an encoder.

    Args:
        folder: A checked Hugging Face folder.
        model: The encoder.

    Returns:
        The preparation.
    """
    told = read_preprocessing(folder)
    scale = told.rescale_factor if told.do_rescale else 1.0
    means, deviations = (
        tuple(value / scale for value in (values if told.do_normalize else [default]))
        for values, default in ((told.image_mean, 0.0), (told.image_std, 1.0))
    )
    side = told.side(getattr(model.config, "image_size", None))
    return Preparation(side=side, mean=means, deviation=deviations)


def read_preprocessing(folder: Path) -> Preprocessing:
    """Read how pictures are prepared for an encoder.

    Args:
        folder: A checked Hugging Face folder.

    Returns:
        What is told; the rest is as usual.

    Raises:
        ConfigError: If the file is damaged, or its numbers are out of range.
    """
    try:
        return msgspec.json.decode(content_of(folder / PREPROCESSOR), type=Preprocessing)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{folder / PREPROCESSOR} cannot be used: {error}", NEEDED_FOR_PICTURES
        ) from error
