"""Weights to start from: of a bundle, a safetensors file, a local folder, or a name of timm.

Reading them runs no code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from torch import Tensor

from diptych.core.errors import ConfigError
from diptych.core.extras import require
from diptych.core.files import sha256_of_bytes
from diptych.core.manifest import Manifest
from diptych.core.specs import InputSpec, Value
from diptych.core.text import size
from diptych.core.values import Assets, Dataset
from diptych.inference import store
from diptych.training import weights
from diptych.training.kept_encoder import KeptEncoder, read_encoder
from diptych.training.kept_timm import PREFIX, is_timm, read_folder, read_named
from diptych.training.models import NetworkConfig
from diptych.training.pretrained import CONFIG

WEIGHTS = "weights.safetensors"
SUFFIX = ".safetensors"
MOST_BYTES = 2 << 30
ACCEPTED = f"give the folder of a bundle or of an encoder, or a file that ends with {SUFFIX}"


class StartPlan(Value):
    """Where first weights come from: a bundle, a folder or a file, and the hash of the weights."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

    @property
    def source(self) -> Path:
        """The folder or the file."""
        return Path(self.path)


@dataclass(frozen=True, kw_only=True)
class Start:
    """Weights by name, with what their bundle says of them, where they are of one.

    An encoder from a folder has its own network, labels and largest input.
    """

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]
    manifest: Manifest | None = None
    assets: Assets = field(default_factory=dict)
    encoder: KeptEncoder | None = None

    @property
    def name(self) -> str:
        """What to call it."""
        return self.path.resolve().name

    @property
    def plan(self) -> StartPlan:
        """What a recipe says of it."""
        return StartPlan(path=str(self.path), sha256=self.sha256)

    @property
    def input(self) -> InputSpec | None:
        """What the network takes, if that is known."""
        if self.encoder is not None:
            return self.encoder.largest
        return None if self.manifest is None else self.manifest.input

    def knows(self, dataset: Dataset) -> bool:
        """Say whether a head may be taken for some labels.

        Args:
            dataset: What is to be told.

        Returns:
            Whether the weights tell just that, or do not say what they tell.
        """
        if self.encoder is not None:
            return self.encoder.labels == dataset.labels and dataset.goal == "classification"
        told = self.manifest
        return told is None or (told.labels, told.goal) == (dataset.labels, dataset.goal)

    def alone(self) -> "Start":
        """Check that the weights are all that a bundle answers with.

        Returns:
            The same.

        Raises:
            ConfigError: If it is a cascade.
        """
        if self.manifest is not None and self.manifest.is_cascade:
            raise ConfigError(
                f"{self.name} is a cascade of two networks, and holds the weights of the small one",
                "give the bundle of one network",
            )
        return self

    def network(self) -> NetworkConfig | None:
        """Give the shape of the network that the weights are of.

        Returns:
            That of the bundle or of the encoder; None for a file.

        Raises:
            ConfigError: If the bundle tells of a network that this version does not know.
        """
        if self.encoder is not None:
            return self.encoder.network
        if self.manifest is None:
            return None
        told = {k: v for k, v in self.manifest.architecture.items() if k != "diptych"}
        if told.get("name") == "onnx":
            raise ConfigError(
                f"{self.name} was made of an ONNX file, and holds its programs but no network",
                f"give that file: {told.get('path')}",
            )
        union: Any = NetworkConfig
        try:
            network: NetworkConfig = msgspec.convert(told, union)
        except msgspec.ValidationError as error:
            raise ConfigError(
                f"{self.name} is of a network that this version does not know: {error}",
                "train it again, or give a recipe with the network",
            ) from error
        return network


def read_start(path: Path, sha256: str | None = None) -> Start:
    """Read weights to start from; hashes are checked before anything is parsed.

    Args:
        path: The folder of a bundle, a safetensors file, a local Hugging Face folder, or the name
            of a network of timm after ``timm:``.
        sha256: What the weights must be, if that is known.

    Returns:
        The start.

    Raises:
        ConfigError: If it is neither, is damaged, or is not what it must be.
        BundleError: If the bundle is damaged.
    """
    if path.name.startswith(PREFIX):
        return _start_of_encoder(path, sha256, read_named)
    if _is_encoder(path):
        read = read_folder if is_timm(path) else read_encoder
        return _start_of_encoder(path, sha256, read)
    manifest, file = _weights_of_bundle(path) if path.is_dir() else (None, _checked_file(path))
    data = file.read_bytes()
    found = sha256_of_bytes(data)
    listed = {record.path: record.sha256 for record in manifest.files} if manifest else {}
    for expected in (sha256, listed.get(WEIGHTS)):
        _check_same(path, expected, found)
    broken = require("safetensors", "train").SafetensorError
    try:
        tensors = weights.decode(data)
    except (ValueError, broken) as error:
        raise ConfigError(f"{file} is no whole safetensors file: {error}", ACCEPTED) from error
    _check_finite(tensors, path)
    assets = store.read_assets(path, manifest) if manifest else {}
    return Start(path=path, sha256=found, tensors=tensors, manifest=manifest, assets=assets)


def _is_encoder(path: Path) -> bool:
    return (path / CONFIG).is_file() and not store.is_bundle(path)


def _start_of_encoder(path: Path, sha256: str | None, read: Callable[[Path], KeptEncoder]) -> Start:
    encoder = read(path)
    _check_same(path, sha256, encoder.sha256)
    _check_finite(encoder.tensors, path)
    return Start(
        path=path,
        sha256=encoder.sha256,
        tensors=encoder.tensors,
        assets=encoder.assets,
        encoder=encoder,
    )


def _check_same(path: Path, expected: str | None, found: str) -> None:
    if expected not in {None, found}:
        raise ConfigError(
            f"the weights of {path} are not those that they were", "give the start anew"
        )


def _weights_of_bundle(path: Path) -> tuple[Manifest, Path]:
    if not store.is_bundle(path):
        raise ConfigError(f"{path} is neither a bundle nor an encoder's folder", ACCEPTED)
    manifest, folder = store.read(path)
    if WEIGHTS not in {record.path for record in manifest.files}:
        raise ConfigError(f"{path} holds no {WEIGHTS} to start from", ACCEPTED)
    return manifest, folder / WEIGHTS


def _checked_file(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(
            f"there are no weights at {str(path)!r}, and nothing is downloaded", ACCEPTED
        )
    if path.suffix != SUFFIX:
        raise ConfigError(f"{path} may hold code, and is not opened", ACCEPTED)
    if path.stat().st_size > MOST_BYTES:
        raise ConfigError(f"{path} is larger than {size(MOST_BYTES)}", "start from less")
    return path


def _check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ConfigError(
                f"{name} of {path} holds numbers that are not finite", "train it again"
            )
