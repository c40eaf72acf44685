"""Checkpoints of a team that shares the weights: a folder into which each process writes its own.

torch's distributed checkpoint cuts and joins the tensors, so a run can go on in any number of
processes, also in one with all weights. The files are safetensors and one of JSON for the position;
what that library writes by itself, and reads by pickle, is not there.
"""

import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save as save_shares
from torch.distributed.tensor import DTensor

from diptych.core.errors import TrainingError
from diptych.core.files import sha256_of_file, storage_error, write_atomic
from diptych.core.specs import Value
from diptych.training.checkpoint import HINT, Checkpoint, Position
from diptych.training.team import Team

SUFFIX = ".shards"
INDEX = "index.json"
SHARE = "shard-{:05d}-model-00001-of-00001.safetensors"
"""The name that torch gives to the share of a process, counted from 1."""


class Index(Value):
    """Where a run was, and the hash of each file of tensors."""

    position: Position
    sha256: dict[str, str]


def save(run: Path, checkpoint: Checkpoint, team: Team) -> None:
    """Keep a checkpoint; every process of the team calls it at the same step.

    Args:
        run: The run's folder, which all processes see.
        checkpoint: Where the run is, with this process's share of the tensors.
        team: The team.

    Raises:
        StorageError: If it cannot be written.
    """
    target = path_of(run, checkpoint.position.step)
    staging = run / f".{target.name}.tmp"
    with _storing(target):
        if team.rank == 0:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
        team.agreed(0)
        writer = HuggingFaceStorageWriter(str(staging), save_distributed=True)
        save_shares(dict(checkpoint.tensors), storage_writer=writer)
        hashes = _hashes(staging, team)
        if team.rank == 0:
            index = Index(position=checkpoint.position, sha256=hashes)
            write_atomic(staging / INDEX, msgspec.json.encode(index))
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)
        team.agreed(0)


def path_of(run: Path, step: int) -> Path:
    """Say where a checkpoint is kept.

    Args:
        run: The run's folder.
        step: The run's step.

    Returns:
        A folder.
    """
    return run / f"checkpoint-{step:010d}{SUFFIX}"


def outline(path: Path) -> Checkpoint:
    """Read where a run was, and which tensors there are.

    Args:
        path: A checkpoint's folder.

    Returns:
        The checkpoint with tensors that have no content, on the device ``meta``.

    Raises:
        TrainingError: If it is not whole.
    """
    with _reading(path):
        index = msgspec.json.decode((path / INDEX).read_bytes(), type=Index)
        _check(path, index)
        found: dict[str, Any] = dict(_reader(path).read_metadata().state_dict_metadata)
        tensors = {
            name: torch.empty(each.size, dtype=each.properties.dtype, device="meta")
            for name, each in found.items()
        }
    return Checkpoint(position=index.position, tensors=tensors)


def read(path: Path, like: Mapping[str, Tensor] | None = None) -> Checkpoint:
    """Read a checkpoint, or this process's share of it.

    Args:
        path: A checkpoint's folder.
        like: Tensors by name; one of the same name, or of the beginning of that, and shape says
            which share is read. All is read of the others.

    Returns:
        The checkpoint.

    Raises:
        TrainingError: If it is not whole.
    """
    found = outline(path)
    tensors = {name: _room(name, each, like or {}) for name, each in found.tensors.items()}
    with _reading(path), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        load(dict(tensors), storage_reader=_reader(path), no_dist=True)
    return Checkpoint(position=found.position, tensors=tensors)


def _room(name: str, outlined: Tensor, like: Mapping[str, Tensor]) -> Tensor:
    """Make a tensor to read into: a share where the network's or the optimizer's is one."""
    model = like.get(name, like.get(name.rpartition(".")[0]))
    if isinstance(model, DTensor) and model.shape == outlined.shape:
        return torch.empty_like(model.detach(), dtype=outlined.dtype)
    return torch.zeros(outlined.shape, dtype=outlined.dtype)


def _hashes(folder: Path, team: Team) -> dict[str, str]:
    """Return the hash of each process's share; one without any has no file."""
    own = folder / SHARE.format(team.rank + 1)
    digest = bytes.fromhex(sha256_of_file(own)) if own.is_file() else bytes(32)
    gathered = team.gathered(torch.tensor(list(digest), dtype=torch.uint8))
    rows = [bytes(row.tolist()) for row in gathered]
    return {SHARE.format(n): row.hex() for n, row in enumerate(rows, start=1) if any(row)}


def _check(path: Path, index: Index) -> None:
    """Check that the files are those that were written."""
    if {file.name for file in path.glob("*.safetensors")} != index.sha256.keys():
        raise ValueError("a share is missing, or one too many")
    for name, expected in index.sha256.items():
        if sha256_of_file(path / name) != expected:
            raise ValueError(f"{name} is damaged: its hash is another")


def _reader(path: Path) -> HuggingFaceStorageReader:
    return HuggingFaceStorageReader(str(path))


@contextmanager
def _storing(target: Path) -> Iterator[None]:
    try:
        with _unwrapping():
            yield
    except OSError as error:
        raise storage_error(target, error) from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        with _unwrapping():
            yield
    except (OSError, ValueError, KeyError, SafetensorError, msgspec.MsgspecError) as error:
        raise TrainingError(f"{path} is no whole checkpoint: {error}", HINT) from error


@contextmanager
def _unwrapping() -> Iterator[None]:
    """Raise what was wrong in place of what torch says about it."""
    try:
        yield
    except CheckpointException as error:
        for wrapped in error.failures.values():
            raise wrapped[0] from error
        raise
