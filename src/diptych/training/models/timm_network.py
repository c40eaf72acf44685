"""A network of ``timm`` for pictures, built from its name alone; its graph takes raw pixels."""

from typing import Annotated, cast

from msgspec import Meta
from torch import nn

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec, InputSpec, Value
from diptych.training.models.huggingface import check_same_items
from diptych.training.picture_encoder import PictureEncoder, Preparation
from diptych.training.pretrained import reason_of
from diptych.training.timm_library import timm_library

USUAL = "choose a name that timm.list_models() lists, such as resnet18 or convnext_atto"

Architecture = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_]*\Z", max_length=100)]


class TimmConfig(Value, tag_field="name", tag="timm"):
    """The name that `timm` has for an architecture, and how it wants its pictures."""

    architecture: Architecture
    preparation: Preparation


def build_timm(config: TimmConfig, spec: InputSpec, outputs: int) -> nn.Module:
    """Build a network with first weights, by torch's global generator.

    Args:
        config: Its name and preparation.
        spec: Pictures.
        outputs: K.

    Returns:
        The network, in training mode. Nothing is downloaded.

    Raises:
        ConfigError: If timm knows no such network, or cannot build it.
    """
    check_same_items(config.preparation, spec)
    library, channels = timm_library(), len(config.preparation.mean)
    if not library.is_model(config.architecture):
        raise ConfigError(f"timm knows no network {config.architecture!r}", USUAL)
    try:
        model = library.create_model(
            config.architecture, pretrained=False, num_classes=outputs, in_chans=channels
        )
    except Exception as error:  # hundreds of builders, each with errors of its own
        raise ConfigError(
            f"{config.architecture} cannot be built: {reason_of(error)}", USUAL
        ) from error
    model.train()
    return PictureEncoder(model, channels, config.preparation, cast("ImageSpec", spec))
