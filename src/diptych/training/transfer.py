"""Starting from other weights: a network takes what fits, and learns the rest anew.

Tensors are taken by name and shape, buffers too: weights know the scale of the inputs that they
were trained with, so it comes with them. A head belongs to its labels: where these differ, it is
new. Nothing is taken from a network that means other inputs by the same numbers, such as texts cut
into other pieces.

Source: J. Yosinski et al., "How transferable are features in deep neural networks?", 2014.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diptych.core.errors import ConfigError
from diptych.core.specs import AudioSpec, InputSpec, OwnSpec, TableSpec, TextSpec
from diptych.core.values import Dataset
from diptych.training.freezing import head_of
from diptych.training.models.spelling import Spelled
from diptych.training.start import Start

NAMED = 3
WRAPPER = "network."
SAME_SHAPE = "train the network that the weights are of; a start from a bundle does"
MEANINGS: dict[type, tuple[str, ...]] = {
    AudioSpec: ("sample_rate",),
    TextSpec: ("vocabulary", "padding", "unknown"),
    TableSpec: ("columns",),
    OwnSpec: ("task",),
}
"""What of an input's spec decides what its numbers mean."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """What was taken, in words; and the names of parameters that were not."""

    note: str
    fresh: frozenset[str]


def begin(network: nn.Module, start: Start, dataset: Dataset) -> Started:
    """Put the weights that fit into a network.

    Args:
        network: With first weights, scaled to the training items; changed in place.
        start: Other weights.
        dataset: What the network will learn.

    Returns:
        What was taken, and what is new.

    Raises:
        ConfigError: If nothing fits, or the inputs are others.
    """
    _check_inputs(start, dataset)
    own = network.state_dict()
    given = _named_alike(start.tensors, own)
    head = head_of(network)
    taken = [name for name in own if _fits(own[name], given.get(name))]
    if not start.knows(dataset):
        taken = [name for name in taken if name not in head]
    trained = {name for name, tensor in network.named_parameters() if tensor.dim() > 1}
    if not trained.difference(head).intersection(taken):
        raise ConfigError(_nothing(start.name, own, given), SAME_SHAPE)
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
        for part in network.modules():
            if isinstance(part, Spelled):
                part.unfold()
    new = [name for name in own if name not in taken]
    fresh = {name for name, _ in network.named_parameters()}.intersection(new)
    unused = len(given.keys() - own.keys())
    note = f"{len(taken)} of {len(own)} tensors from {start.name}{_rest(new, unused)}"
    return Started(note=note, fresh=frozenset(fresh))


def _check_inputs(start: Start, dataset: Dataset) -> None:
    """Check that the same numbers mean the same: pieces of words, categories, sounds."""
    if start.input is not None:
        _check_same_meaning(start, start.input, dataset)
    elif isinstance(dataset.spec, TextSpec | TableSpec):
        raise ConfigError(
            f"{start.name} does not say which words its rows stand for",
            "start from the bundle that the weights are of",
        )


def _check_same_meaning(start: Start, spec: InputSpec, dataset: Dataset) -> None:
    if type(spec) is not type(dataset.spec):
        kinds = [each.__struct_config__.tag for each in (spec, dataset.spec)]
        raise ConfigError(
            f"{start.name} takes inputs of kind {kinds[0]}, and the data is of kind {kinds[1]}",
            "start from weights for this kind of data",
        )
    parts = MEANINGS.get(type(spec), ())
    other = [part for part in parts if getattr(spec, part) != getattr(dataset.spec, part)]
    other += [name for name in start.assets if start.assets[name] != dataset.assets.get(name)]
    if other:
        raise ConfigError(
            f"{start.name} means something else by its inputs: the data has another {other[0]}",
            "give the data's path: it is then prepared as the bundle prepares it",
        )


def _named_alike(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by the names of the network, which may be wrapped, or theirs may be."""
    inner = {name: tensor for name, tensor in tensors.items() if name.startswith(WRAPPER)}
    bare = {name.removeprefix(WRAPPER): tensor for name, tensor in inner.items()}
    wrapped = {f"{WRAPPER}{name}": tensor for name, tensor in tensors.items()}
    return max((dict(tensors), bare, wrapped), key=lambda named: len(own.keys() & named.keys()))


def _fits(own: Tensor, given: Tensor | None) -> bool:
    if given is None or own.shape != given.shape:
        return False
    return own.dtype == given.dtype or (own.is_floating_point() and given.is_floating_point())


def _nothing(name: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    different = [key for key in own if own[key].dim() > 1 and not _fits(own[key], given.get(key))]
    told = [
        f"{key} is {_shape(own[key])} here and {_shape(given.get(key))} there"
        for key in different[:NAMED]
    ]
    return f"nothing of {name} fits the network: {'; '.join(told)}"


def _shape(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else " x ".join(map(str, tensor.shape))


def _rest(new: Sequence[str], unused: int) -> str:
    """Say what is new, and how many tensors are not used."""
    rest = f"; {_listed(new)} {'is' if len(new) == 1 else 'are'} new" if new else ""
    return f"{rest}; {unused} of theirs not used" if unused else rest


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:NAMED])
    if len(names) > NAMED:
        shown = [*shown[: NAMED - 1], f"{len(names) - NAMED + 1} others"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
