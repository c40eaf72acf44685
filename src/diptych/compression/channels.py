"""What of a network can be taken out: channels that layers share, and heads of attention.

A channel is out once no layer takes it: to set the weights by which it is taken to zero has the
same effect as to remove it from every layer that it runs through. So each removal is checked on
real inputs before it is kept, and where the two differ (a norm over channels, an operation that
was not understood), nothing is removed.

Shapes: N items, C channels or heads of a group, P places among a layer's inputs.

Source: which layers share channels: G. Fang et al., "DepGraph: Towards Any Structural Pruning",
2023, and their library torch-pruning.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from diptych.core.errors import TrainingError
from diptych.core.extras import require
from diptych.training.models.heads import Headed, head_size, keep_heads

if TYPE_CHECKING:
    from torch_pruning._helpers import GroupItem as Item
    from torch_pruning.dependency import DependencyGraph
    from torch_pruning.dependency import Group as Found

TOLERANCE = 1e-4
"""Of the largest output: removing channels changes the order in which sums are computed."""
FAILURES = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, AttributeError)
"""What a network raises whose layers no longer fit each other."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """A layer that has channels of a group at `places`, int64 (P,); there it is `channels` (P,)."""

    layer: str
    places: Tensor
    channels: Tensor


@dataclass(frozen=True, kw_only=True)
class Group:
    """Channels, or heads, that can only be removed together from all layers that share them.

    `name` is the first layer that makes them, or the attention; `takers` are the convolutions and
    linear layers that end them, `norms` the batch norms on the way.
    """

    name: str
    size: int
    takers: tuple[Use, ...]
    norms: tuple[Use, ...] = ()
    of_heads: bool = False


def find_groups(network: nn.Module, inputs: Tensor) -> list[Group]:
    """Find what can be taken out of a network.

    Args:
        network: Any network.
        inputs: Some it takes, (N, ...).

    Returns:
        The groups, those nearest to the outputs first; never the outputs themselves.

    Raises:
        TrainingError: If the network cannot be followed.
    """
    probe = trainable(network)
    heads = [name for name, each in probe.named_modules() if isinstance(each, Headed)]
    try:
        groups = list(_groups_of_channels(probe, inputs))
    except FAILURES as error:
        raise TrainingError(
            f"cannot find out which layers share channels: {error}",
            "prune a network whose forward is made of layers and plain operations",
        ) from error
    groups += [_group_of_heads(probe, name) for name in heads]
    return [group for group in groups if group.takers]


def removed(
    network: nn.Module, group: Group, out: Sequence[int], inputs: Tensor
) -> nn.Module | None:
    """Remove channels or heads.

    Args:
        network: Any network; it is left as it is.
        group: Of this network, or of one that had more channels in other groups.
        out: Which to remove.
        inputs: Some it takes, (N, ...), to check the removal by.

    Returns:
        A smaller network whose outputs are those of :func:`masked`; None where there is none.
    """
    probe = trainable(network)
    try:
        expected = _remove(probe, group, out, inputs)
        with torch.no_grad():
            outputs = probe(inputs)
    except FAILURES:
        return None
    near = TOLERANCE * float(expected.abs().max().clamp_min(1e-6))
    same = outputs.shape == expected.shape and torch.allclose(outputs, expected, 0.0, near)
    return _like(probe, network) if same and size_of(probe) < size_of(network) else None


def masked(network: nn.Module, group: Group, out: Sequence[int]) -> nn.Module:
    """Have no layer take some channels or heads.

    Args:
        network: Any network; it is left as it is.
        group: Of this network.
        out: Which to mask.

    Returns:
        A network of the same shape.
    """
    twin = copy.deepcopy(network)
    for use in group.takers:
        layer = twin.get_submodule(use.layer)
        gone = use.places[torch.isin(use.channels, torch.as_tensor(list(out)))]
        with torch.no_grad():
            weight: Tensor = layer.weight  # type: ignore[assignment]
            weight[:, gone] = 0.0
    return twin


def size_of(network: nn.Module) -> int:
    """Count the parameters of a network, shared ones once.

    Args:
        network: Any network.

    Returns:
        How many numbers it learns.
    """
    return sum(parameter.numel() for parameter in network.parameters())


def trainable(network: nn.Module) -> nn.Module:
    """Copy a network so that gradients reach all of it.

    Args:
        network: Any network.

    Returns:
        A copy in evaluation mode.
    """
    twin = copy.deepcopy(network).eval()
    for tensor in twin.parameters():
        tensor.requires_grad_(tensor.is_floating_point())
        tensor.grad = None
    return twin


def _like(smaller: nn.Module, network: nn.Module) -> nn.Module:
    """Let the same parameters learn as in the network that it was, laid out alike in memory."""
    for name, tensor in network.named_parameters():
        twin = smaller.get_parameter(name)
        twin.requires_grad_(tensor.requires_grad)
        if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
            twin.data = twin.data.contiguous(memory_format=torch.channels_last)
    return smaller.train(network.training)


def _remove(network: nn.Module, group: Group, out: Sequence[int], inputs: Tensor) -> Tensor:
    """Remove channels or heads in place, and return what the outputs were with them masked."""
    layer = network.get_submodule(group.name)
    if group.of_heads:
        outputs = _masked_outputs(network, _group_of_heads(network, group.name), out, inputs)
        attention: Any = layer
        keep_heads(attention, [head for head in range(group.size) if head not in set(out)])
        return outputs
    graph = _graph(network, inputs)
    remover = graph.get_pruner_of_module(layer).prune_out_channels
    whole = graph.get_pruning_group(layer, remover, list(range(group.size)))
    outputs = _masked_outputs(network, _group(graph, whole, _names(network)), out, inputs)
    graph.get_pruning_group(layer, remover, list(out)).prune()
    return outputs


def _masked_outputs(network: nn.Module, group: Group, out: Sequence[int], inputs: Tensor) -> Tensor:
    with torch.no_grad():
        outputs: Tensor = masked(network, group, out)(inputs)
    return outputs


def _graph(network: nn.Module, inputs: Tensor) -> "DependencyGraph":
    """Find which layers share channels: torch-pruning's graph."""
    library = require("torch_pruning", "train")
    in_place: list[Any] = [m for m in network.modules() if getattr(m, "inplace", False)]
    for layer in in_place:  # what changes a view hides from the graph which layer made it
        layer.inplace = False
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parameters outside of layers are never removed here
        graph: DependencyGraph = library.DependencyGraph().build_dependency(
            network, inputs, forward_fn=lambda model, given: model(given), verbose=False
        )
    for layer in in_place:
        layer.inplace = True
    return graph


def _names(network: nn.Module) -> dict[nn.Module, str]:
    return {layer: name for name, layer in network.named_modules()}


def _group_of_heads(network: nn.Module, name: str) -> Group:
    attention: Any = network.get_submodule(name)
    taker = attention.projections().taker
    places = torch.arange(taker.in_features)
    use = Use(layer=_names(network)[taker], places=places, channels=places // head_size(attention))
    return Group(name=name, size=attention.heads, takers=(use,), of_heads=True)


def _groups_of_channels(network: nn.Module, inputs: Tensor) -> Iterator[Group]:
    graph = _graph(network, inputs)
    names = _names(network)
    attentions = [each for each in network.modules() if isinstance(each, Headed)]
    in_heads = {layer for each in attentions for layer in each.projections().makers}
    for found in graph.get_all_groups():
        layers = [item.dep.target.module for item in found]
        if not in_heads.intersection(layers) and all(map(_is_understood, layers)):
            yield _group(graph, found, names)


def _group(graph: "DependencyGraph", found: "Found", names: dict[nn.Module, str]) -> Group:
    """Turn torch-pruning's group of all channels into ours."""
    takers, norms = [], []
    for item in found:
        layer, how = item.dep.target.module, item.dep.handler
        if isinstance(layer, _BatchNorm):
            norms.append(_use(names[layer], item))
        elif layer in names and not graph.is_out_channel_pruning_fn(how):
            takers.append(_use(names[layer], item))
    return Group(
        name=names[found[0].dep.target.module],
        size=len(found[0].idxs),
        takers=tuple(takers),
        norms=tuple(norms),
    )


def _use(layer: str, item: "Item") -> Use:
    places, channels = torch.tensor(item.idxs), torch.tensor(item.root_idxs)
    return Use(layer=layer, places=places, channels=channels)


def _is_understood(layer: object) -> bool:
    """Say whether a part of a group can be removed, and built again from its widths."""
    match layer:
        case nn.Linear() | _BatchNorm():
            return True
        case nn.Conv1d() | nn.Conv2d():
            return layer.groups in {1, layer.in_channels} and (
                layer.groups == 1 or layer.in_channels == layer.out_channels
            )
        case _:
            return type(layer).__name__ in OPERATIONS


OPERATIONS = frozenset(
    ("_ElementWiseOp", "_ConcatOp", "_SplitOp", "_ReshapeOp", "_SliceOp", "_UnbindOp")
)
"""What torch-pruning calls operations without weights; its others are outputs, or repeat values."""
