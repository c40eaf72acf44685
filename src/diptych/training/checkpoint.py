"""Checkpoints: all that a run needs to go on as if nothing had happened, in one safetensors file.

The tensors are the network's, the optimizer's, the average's and the state of torch's generator;
the numbers stand as JSON in the header of the file, with a hash of the tensors. Reading one runs no
code.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor

from diptych.core.errors import TrainingError
from diptych.core.extras import require
from diptych.core.specs import Value
from diptych.core.values import CurvePoint, Energy
from diptych.training.divergence import Baseline
from diptych.training.recipe import Replan, TrainingRecipe

FORMAT = 1
HINT = "go on from an earlier checkpoint of the run, or start anew"


class Position(Value):
    """Where a run is: `share` of its schedule done, so many steps behind it and before it.

    The `recipe` is the `planned` one with what was found on the way, such as a rate. `loss_sum` of
    `loss_count` steps is of the epoch it is in, and the loss is watched from its `baseline` on;
    `replans` are those followed so far; `numbers` are the plain ones of the optimizer and its
    companions.
    """

    name: str
    seed: int
    data_sha256: str
    planned: TrainingRecipe
    recipe: TrainingRecipe
    step: int
    remaining: int
    share: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    baseline: Baseline | None = None
    curve: tuple[CurvePoint, ...] = ()
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    waited_seconds: float = 0.0
    cpu_energy: Energy | None = None
    gpu_energy: Energy | None = None
    replans: tuple[Replan, ...] = ()
    numbers: dict[str, Any] = msgspec.field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A position, and the tensors that belong to it."""

    position: Position
    tensors: Mapping[str, Tensor]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Give the tensors of one part.

        Args:
            prefix: ``network``, ``optimizer``, ``average`` or ``generator``.

        Returns:
            Them, by the rest of their names.
        """
        start = f"{prefix}."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}


def encode(checkpoint: Checkpoint) -> bytes:
    """Serialize a checkpoint.

    Args:
        checkpoint: The checkpoint.

    Returns:
        A safetensors file.
    """
    tensors = _apart({k: v.detach().cpu().contiguous() for k, v in checkpoint.tensors.items()})
    header = {
        "position": msgspec.json.encode(checkpoint.position).decode(),
        "sha256": _sha256(tensors),
    }
    data: bytes = require("safetensors.torch", "train").save(tensors, metadata=header)
    return data


def decode(data: bytes, name: str) -> Checkpoint:
    """Read what :func:`encode` wrote.

    Args:
        data: A file's content; anything may be in it.
        name: What to call it in errors.

    Returns:
        The checkpoint.

    Raises:
        TrainingError: If it is not whole, or of another version.
    """
    broken = require("safetensors", "train").SafetensorError
    try:
        header = _header(data)
        position = msgspec.json.decode(header["position"], type=Position)
        tensors = require("safetensors.torch", "train").load(data)
    except (ValueError, KeyError, TypeError, msgspec.MsgspecError, broken) as error:
        raise TrainingError(f"{name} is no whole checkpoint: {error}", HINT) from error
    if position.format != FORMAT:
        raise TrainingError(
            f"{name} is of checkpoint format {position.format}, not {FORMAT}",
            "go on with the version of diptych that wrote it",
        )
    if _sha256(tensors) != header.get("sha256"):
        raise TrainingError(f"{name} is damaged: its hash is another", HINT)
    return Checkpoint(position=position, tensors=tensors)


def flatten(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Take an optimizer's state apart.

    Args:
        state: A ``state_dict()`` of tensors and plain numbers.

    Returns:
        The tensors, by ``number.name``; and the plain values, as JSON can hold them.
    """
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, values in state["state"].items():
        for key, value in values.items():
            kept = tensors if isinstance(value, Tensor) else numbers
            kept[f"{index}.{key}"] = value
    groups = [
        {k: v for k, v in group.items() if k != "params" and not isinstance(v, Tensor)}
        for group in state["param_groups"]
    ]
    return tensors, {"state": numbers, "groups": groups}


def unflatten(
    fresh: dict[str, Any], tensors: Mapping[str, Tensor], numbers: dict[str, Any]
) -> dict[str, Any]:
    """Put an optimizer's state together again.

    Args:
        fresh: The ``state_dict()`` of a new optimizer of the same network and recipe.
        tensors: As :func:`flatten` gave them.
        numbers: As :func:`flatten` gave them.

    Returns:
        What its ``load_state_dict`` takes.
    """
    state: dict[int, dict[str, Any]] = {}
    for name, value in (*tensors.items(), *numbers["state"].items()):
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = [
        {**group, **{k: _like(group.get(k), v) for k, v in kept.items()}}
        for group, kept in zip(fresh["param_groups"], numbers["groups"], strict=True)
    ]
    return {"state": state, "param_groups": groups}


def check_fits(checkpoint: Checkpoint, network: Mapping[str, Tensor], name: str) -> None:
    """Check that a checkpoint is of this network.

    Args:
        checkpoint: The checkpoint.
        network: The network's ``state_dict()``.
        name: What to call the checkpoint in errors.

    Raises:
        TrainingError: If it has other tensors; the first one is named.
    """
    kept = checkpoint.under("network")
    for key in sorted(kept.keys() | network.keys()):
        shapes = [tuple(s[key].shape) if key in s else None for s in (kept, network)]
        if shapes[0] != shapes[1]:
            raise TrainingError(
                f"{name} is of another network: {key} is {_shape(shapes[0])} there and "
                f"{_shape(shapes[1])} here",
                "go on with the recipe that it was made with",
            )


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that share memory with one before, such as tied weights."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape)) or "a number"


def _like(fresh: object, kept: object) -> object:
    """Return a value as the optimizer has it: JSON knows no tuples."""
    return tuple(kept) if isinstance(fresh, tuple) and isinstance(kept, list) else kept


def _header(data: bytes) -> dict[str, str]:
    size = int.from_bytes(data[:8], "little")
    if not 2 <= size <= len(data) - 8:
        raise ValueError("its header is cut off")
    found = msgspec.json.decode(data[8 : 8 + size])
    return dict(found["__metadata__"])


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
