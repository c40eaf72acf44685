"""Which parameters an optimizer treats alike: hidden matrices, what decays, and layers by depth.

A group's `share` is its learning rate relative to the run's.
"""

from collections.abc import Collection, Mapping
from typing import Any

from torch import nn

from diptych.core.errors import ConfigError

LEVELS = 12
RAW_CHANNELS = 4
HEADS = frozenset({"head", "heads", "classifier", "fc", "score", "lm_head"})
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
UNDECAYED = frozenset({"bias", "frequencies"})
"""Names of parameters that do not decay, also where each member or column has a row of its own."""

Shares = Mapping[str, float]
"""Learning rates relative to the run's, by a parameter's name; 1 where it is not named."""


def parameter_groups(
    network: nn.Module,
    weight_decay: float,
    shares: Shares | None = None,
    orthogonal: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Put a network's trained parameters into the groups of an optimizer.

    Args:
        network: The network.
        weight_decay: Of matrices; biases, norms, frequencies, and other vectors and scalars do not
            decay.
        shares: Learning rates relative to the run's.
        orthogonal: The names of matrices that take orthogonal steps.

    Returns:
        Groups with `params`, `weight_decay`, `share` and `orthogonal`.

    Raises:
        ConfigError: If nothing can be trained.
    """
    shares = shares or {}
    groups: dict[tuple[bool, bool, float], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.dim() > 1 and _own_name(name) not in UNDECAYED
        share = shares.get(name, 1.0)
        group = {
            "weight_decay": weight_decay if decays else 0.0,
            "share": share,
            "orthogonal": name in orthogonal,
        }
        key = (name in orthogonal, decays, share)
        groups.setdefault(key, {"params": [], **group})["params"].append(parameter)
    if not groups:
        raise ConfigError("no parameter of the network can be trained", "unfreeze a layer")
    return list(groups.values())


def hidden_matrices(network: nn.Module) -> frozenset[str]:
    """Find the weights that map features to features.

    Args:
        network: The network.

    Returns:
        The names of weights of linear layers and convolutions but heads, depthwise convolutions,
        and those of raw inputs. The last linear layer counts as a head, but where the head is a
        parameter beside its layers.
    """
    named = dict(network.named_modules())
    linear = [name for name, module in named.items() if isinstance(module, nn.Linear)]
    heads = {name for name in linear if _own_name(name) in HEADS}
    if HEADS.isdisjoint(_own_name(name) for name, _ in network.named_parameters()):
        heads |= set(linear[-1:])
    convolutions = {
        name
        for name, module in named.items()
        if isinstance(module, CONVOLUTIONS)
        and module.groups == 1
        and module.in_channels > RAW_CHANNELS
    }
    layers = (set(linear) - heads) | convolutions
    return frozenset(f"{name}.weight".removeprefix(".") for name in layers)


def shares_by_depth(network: nn.Module, least: float, levels: int = LEVELS) -> dict[str, float]:
    """Let layers learn the more slowly the nearer they are to the input.

    Args:
        network: Its layers are registered in the order in which they compute.
        least: The share of the first layers, above 0; that of the last is 1 and those between
            are a geometric series.
        levels: How many different shares there are, at least 1.

    Returns:
        The share of each parameter.

    Source: J. Howard and S. Ruder, "Universal language model fine-tuning for text
    classification", 2018, with levels in place of layers.
    """
    owners = [name.rpartition(".")[0] for name, _ in network.named_parameters()]
    layers = {name: place for place, name in enumerate(dict.fromkeys(owners))}
    levels = min(levels, len(layers))
    depths = [layers[owner] * levels // len(layers) for owner in owners]
    exponents = [1 - depth / (levels - 1) if levels > 1 else 0.0 for depth in depths]
    names = [name for name, _ in network.named_parameters()]
    return {name: least**power for name, power in zip(names, exponents, strict=True)}


def _own_name(name: str) -> str:
    """Return the name of a layer or a parameter within its module."""
    return name.rpartition(".")[2]
