"""Weights to start from: those of a bundle, or of a safetensors file; reading them runs no code."""

from collections.abc import Mapping
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
from diptych.core.specs import Value
from diptych.core.text import size
from diptych.core.values import Assets
from diptych.inference import store
from diptych.training import weights
from diptych.training.models import NetworkConfig

WEIGHTS = "weights.safetensors"
SUFFIX = ".safetensors"
MOST_BYTES = 2 << 30
ACCEPTED = f"give the folder of a bundle, or a file that ends with {SUFFIX}"


class StartPlan(Value):
    """Where first weights come from: a bundle or a file, and the hash of the weights."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

    @property
    def source(self) -> Path:
        """The bundle's folder or the file."""
        return Path(self.path)


@dataclass(frozen=True, kw_only=True)
class Start:
    """Weights by name, with what their bundle says of them, where they are of one."""

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]
    manifest: Manifest | None = None
    assets: Assets = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What to call it."""
        return self.path.resolve().name

    @property
    def plan(self) -> StartPlan:
        """What a recipe says of it."""
        return StartPlan(path=str(self.path), sha256=self.sha256)

    def network(self) -> NetworkConfig | None:
        """Give the shape of the network that the weights are of.

        Returns:
            That of the bundle; None for a file.

        Raises:
            ConfigError: If the bundle tells of a network that this version does not know.
        """
        if self.manifest is None:
            return None
        told = {k: v for k, v in self.manifest.architecture.items() if k != "diptych"}
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
        path: The folder of a bundle, or a safetensors file.
        sha256: What the weights must be, if that is known.

    Returns:
        The start.

    Raises:
        ConfigError: If it is neither, is damaged, or is not what it must be.
        BundleError: If the bundle is damaged.
    """
    manifest, file = _weights_of_bundle(path) if path.is_dir() else (None, _checked_file(path))
    data = file.read_bytes()
    found = sha256_of_bytes(data)
    listed = {record.path: record.sha256 for record in manifest.files} if manifest else {}
    for expected in (sha256, listed.get(WEIGHTS)):
        if expected not in {None, found}:
            raise ConfigError(
                f"the weights of {path} are not those that they were", "give the start anew"
            )
    broken = require("safetensors", "train").SafetensorError
    try:
        tensors = weights.decode(data)
    except (ValueError, broken) as error:
        raise ConfigError(f"{file} is no whole safetensors file: {error}", ACCEPTED) from error
    _check_finite(tensors, path)
    assets = store.read_assets(path, manifest) if manifest else {}
    return Start(path=path, sha256=found, tensors=tensors, manifest=manifest, assets=assets)


def _weights_of_bundle(path: Path) -> tuple[Manifest, Path]:
    if not (path / "bundle.json").exists() and (path / "config.json").exists():
        raise ConfigError(
            f"{path} is a Hugging Face folder, which can only teach: fit --teacher {path}", ACCEPTED
        )
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
