"""An encoder of the library ``transformers`` with its head, built from its settings alone.

The settings are those of the folder that it was opened from, so that a bundle builds it again
without that folder. The graph takes what all others take: raw pixels, or token numbers.
"""

from typing import Any

from torch import nn

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec, InputSpec, TextSpec, Value
from diptych.training.picture_encoder import Preparation, picture_encoder
from diptych.training.pretrained import CLASSES, USUAL, quiet_library, reason_of
from diptych.training.text_encoder import Encoder

DROPPED = frozenset(
    {
        "_name_or_path",
        "architectures",
        "auto_map",
        "dtype",
        "id2label",
        "label2id",
        "num_labels",
        "problem_type",
        "quantization_config",
        "torch_dtype",
        "transformers_version",
    }
)
"""Settings that are of a file or of a head, and those that could ask for code."""


class HuggingFaceConfig(Value, tag_field="name", tag="hugging-face"):
    """The `settings` of an encoder as its ``config.json`` tells them.

    With `preparation` it is one of pictures, else of texts.
    """

    settings: dict[str, Any]
    preparation: Preparation | None = None


def check_same_items(preparation: Preparation | None, spec: InputSpec) -> None:
    """Check that an encoder takes the items of the data.

    Args:
        preparation: Of its pictures; None if it takes texts.
        spec: The items.

    Raises:
        ConfigError: If it takes others.
    """
    items, kind = ("texts", TextSpec) if preparation is None else ("pictures", ImageSpec)
    if not isinstance(spec, kind):
        raise ConfigError(
            f"this is an encoder of {items}, and the data is of kind "
            f"{spec.__struct_config__.tag!r}",
            "give one for this kind of data",
        )


def build_encoder(config: HuggingFaceConfig, spec: InputSpec, outputs: int) -> nn.Module:
    """Build an encoder with first weights, by torch's global generator.

    Args:
        config: Its settings.
        spec: Texts in its own tokens, or pictures.
        outputs: K.

    Returns:
        The network, in training mode.

    Raises:
        ConfigError: If it takes something else, or the library does not know the settings.
    """
    check_same_items(config.preparation, spec)
    settings = {name: each for name, each in config.settings.items() if name not in DROPPED}
    kind = str(settings.pop("model_type", None))
    with quiet_library() as library:
        family = getattr(library, CLASSES["texts" if config.preparation is None else "pictures"])
        try:
            told = library.AutoConfig.for_model(kind, **settings, num_labels=outputs)
            model = family.from_config(
                told, attn_implementation="eager", dtype="float32", trust_remote_code=False
            )
        except Exception as error:  # a library of many libraries, each with errors of its own
            raise ConfigError(
                f"an encoder of kind {kind!r} cannot be built: {reason_of(error)}", USUAL
            ) from error
    model.train()
    if config.preparation is not None and isinstance(spec, ImageSpec):
        return picture_encoder(model, config.preparation, spec)
    numbers = spec.renumbered() if isinstance(spec, TextSpec) else {}
    return Encoder(model, {number: own for own, number in numbers.items()})
