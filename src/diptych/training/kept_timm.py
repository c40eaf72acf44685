"""A network of ``timm`` as what a training starts from: by its name, or from a local folder.

A name's weights are those that timm has for it: taken from the cache of Hugging Face's hub, and
downloaded where they are not there, since the user named them. A folder is read as it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from torch import Tensor

from diptych.core.errors import ConfigError
from diptych.core.extras import require
from diptych.core.files import sha256_of_bytes
from diptych.core.specs import ImageSpec
from diptych.training import weights
from diptych.training.kept_encoder import KeptEncoder
from diptych.training.models.timm_network import USUAL, Architecture, TimmConfig
from diptych.training.picture_encoder import Preparation
from diptych.training.pretrained import CONFIG, WEIGHTS, content_of, fingerprint, reason_of
from diptych.training.timm_library import timm_library

PREFIX = "timm:"
LEVELS, COLORS = 255.0, 3
MODEL = "model."

Channels = Annotated[list[float], Meta(min_length=1, max_length=16)]


class Prepared(msgspec.Struct):
    """What timm says of the pictures that weights were trained on; scales are from 0 to 1."""

    input_size: Annotated[list[int], Meta(min_length=3, max_length=3)]
    mean: Channels
    std: Channels


class Folder(msgspec.Struct):
    """What ``config.json`` of a folder says; `model_args` would build another network."""

    architecture: Architecture
    pretrained_cfg: Prepared
    model_args: dict[str, Any] = msgspec.field(default_factory=dict)


def read_named(path: Path) -> KeptEncoder:
    """Take a network and its weights by its name.

    Args:
        path: That ends with ``timm:NAME``.

    Returns:
        What timm has of this name.

    Raises:
        ConfigError: If there is no such network, or no weights of it can be had.
    """
    name = path.name.removeprefix(PREFIX)
    library = timm_library()
    if not library.is_model(name.split(".")[0]):
        raise ConfigError(f"timm knows no network {name!r}", USUAL)
    try:
        model = library.create_model(name, pretrained=True)
        prepared = msgspec.convert(model.pretrained_cfg, Prepared)
    except Exception as error:  # of timm, of the hub, of the network
        raise ConfigError(
            f"the weights of {name} cannot be had: {reason_of(error)}",
            f"get them where there is a network (hf download timm/{name} --local-dir FOLDER), "
            "and give that folder",
        ) from error
    found = sha256_of_bytes(weights.encode(model))
    return _kept(name.split(".")[0], prepared, model.state_dict(), found)


def is_timm(folder: Path) -> bool:
    """Say whether a folder is one of timm.

    Args:
        folder: With a ``config.json``.

    Returns:
        Whether it names an architecture of timm, and no kind of transformers.
    """
    try:
        told = msgspec.json.decode(content_of(folder / CONFIG), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return "architecture" in told and "model_type" not in told


def read_folder(folder: Path) -> KeptEncoder:
    """Read a folder as the hub has them: ``config.json`` and ``model.safetensors``.

    Args:
        folder: The folder.

    Returns:
        What it holds.

    Raises:
        ConfigError: If a file is absent or damaged, or the weights are of another network.
    """
    needed = f"a folder of timm holds {CONFIG} and {WEIGHTS}"
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(f"{folder} has no {WEIGHTS}", needed)
    broken = require("safetensors", "train").SafetensorError
    try:
        told = msgspec.json.decode(content_of(folder / CONFIG), type=Folder)
        tensors = weights.decode((folder / WEIGHTS).read_bytes())
    except (msgspec.MsgspecError, ValueError, broken) as error:
        raise ConfigError(f"{folder} cannot be used: {reason_of(error)}", needed) from error
    if told.model_args:
        named = ", ".join(sorted(told.model_args))
        raise ConfigError(f"{folder} is of a network that was built with {named}", USUAL)
    return _kept(told.architecture, told.pretrained_cfg, tensors, fingerprint(folder))


def _kept(
    architecture: str, prepared: Prepared, tensors: Mapping[str, Tensor], sha256: str
) -> KeptEncoder:
    channels, _, side = prepared.input_size
    if channels != COLORS or {len(prepared.mean), len(prepared.std)} != {COLORS}:
        raise ConfigError(f"{architecture} takes pictures of {channels} channels", USUAL)
    preparation = Preparation(
        side=side,
        mean=tuple(LEVELS * value for value in prepared.mean),
        deviation=tuple(LEVELS * value for value in prepared.std),
    )
    return KeptEncoder(
        sha256=sha256,
        network=TimmConfig(architecture=architecture, preparation=preparation),
        tensors={f"{MODEL}{name}": each for name, each in tensors.items()},
        largest=ImageSpec(height=side, width=side, channels=3),
        labels=(),
    )
