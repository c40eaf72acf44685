"""A network whose layers are narrower than they were built: its shape, and how to build it again.

The shape is that of the whole network and the widths of the layers that were cut. So every network
can be recorded after it was pruned, a user's own too, and none has a setting for it.
"""

from collections.abc import Mapping
from typing import Annotated

import torch
from msgspec import Meta
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from diptych.core.errors import ConfigError
from diptych.core.specs import Value
from diptych.training.models.conformer import ConformerConfig
from diptych.training.models.dscnn import DepthwiseNetConfig
from diptych.training.models.given import GivenConfig
from diptych.training.models.heads import Headed, head_size
from diptych.training.models.huggingface import HuggingFaceConfig
from diptych.training.models.ngrams import NgramsConfig
from diptych.training.models.own import OwnConfig
from diptych.training.models.resnet import ResidualNetConfig
from diptych.training.models.tabular import TabularConfig
from diptych.training.models.textcnn import TextConvolutionConfig
from diptych.training.models.textmixture import TextMixtureConfig
from diptych.training.models.timm_network import TimmConfig
from diptych.training.models.transformer import TransformerConfig
from diptych.training.models.whitened import WhitenedNetConfig

WholeConfig = (
    ResidualNetConfig
    | DepthwiseNetConfig
    | ConformerConfig
    | NgramsConfig
    | TextConvolutionConfig
    | TextMixtureConfig
    | TransformerConfig
    | TabularConfig
    | WhitenedNetConfig
    | HuggingFaceConfig
    | TimmConfig
    | OwnConfig
    | GivenConfig
)
"""The shapes that networks are built in."""
Channels = Annotated[int, Meta(ge=1, le=1 << 20)]
Widths = Mapping[str, tuple[int, int]]
"""Channels in and out of layers, by their names."""


class PrunedConfig(Value, tag_field="name", tag="pruned"):
    """The shape of a network that was pruned.

    `widths` are the channels in and out of each layer that has fewer than `network` gives it, by
    the layer's name; of a norm both are the same.
    """

    network: WholeConfig
    widths: dict[str, tuple[Channels, Channels]]


def widths_of(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Read the widths of a network's layers.

    Args:
        network: Any network.

    Returns:
        Channels in and out of each convolution, linear layer and batch norm, by name.
    """
    return {
        name: _widths_of_layer(layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear | _BatchNorm)
    }


def cut(network: nn.Module, widths: Widths) -> nn.Module:
    """Make layers as narrow as they were recorded, in place; they keep their first channels.

    Args:
        network: As it is built.
        widths: Those of a :class:`PrunedConfig`.

    Returns:
        The same network.

    Raises:
        ConfigError: If a layer is not there, or is narrower than its record.
    """
    attentions = [each for each in network.modules() if isinstance(each, Headed)]
    sizes = [head_size(attention) for attention in attentions]
    built = widths_of(network)
    for name, wanted in widths.items():
        _check(name, wanted, built.get(name))
        _cut_layer(network.get_submodule(name), *wanted)
    for attention, size in zip(attentions, sizes, strict=True):
        attention.heads = attention.projections().taker.in_features // size
    return network


def _check(name: str, wanted: tuple[int, int], built: tuple[int, int] | None) -> None:
    if built is None or wanted[0] > built[0] or wanted[1] > built[1]:
        has = "no such layer" if built is None else f"{built[0]} in and {built[1]} out"
        raise ConfigError(
            f"{name} has {wanted[0]} channels in and {wanted[1]} out as it was pruned, and the "
            f"network it was pruned from has {has}",
            "the widths of a pruned network belong to the network that is told beside them",
        )


def _widths_of_layer(layer: nn.Module) -> tuple[int, int]:
    match layer:
        case nn.Linear():
            return layer.in_features, layer.out_features
        case nn.Conv1d() | nn.Conv2d():
            return layer.in_channels, layer.out_channels
        case _BatchNorm():
            return layer.num_features, layer.num_features
        case _:
            raise TypeError(f"a {type(layer).__name__} has no widths")


def _cut_layer(layer: nn.Module, inputs: int, outputs: int) -> None:
    match layer:
        case nn.Linear():
            layer.in_features, layer.out_features = inputs, outputs
        case nn.Conv1d() | nn.Conv2d():
            if layer.groups > 1:
                layer.groups = outputs
            layer.in_channels, layer.out_channels = inputs, outputs
            inputs //= layer.groups
        case _BatchNorm():
            layer.num_features = outputs
    for name, values in [*layer.named_parameters(), *layer.named_buffers()]:
        if values.dim() > 0:
            kept = values.detach()[:outputs]
            _replace(layer, name, (kept[:, :inputs] if values.dim() > 1 else kept).clone())


def _replace(layer: nn.Module, name: str, values: torch.Tensor) -> None:
    """Put a tensor in the place of another; a parameter learns if the other did."""
    before = getattr(layer, name)
    if isinstance(before, nn.Parameter):
        values = nn.Parameter(values, requires_grad=before.requires_grad)
    setattr(layer, name, values)
