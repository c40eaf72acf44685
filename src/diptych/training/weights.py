"""Weights as bytes: safetensors, so that reading them runs no code."""

from typing import cast

from torch import Tensor, nn

from diptych.core.extras import require


def encode(network: nn.Module) -> bytes:
    """Serialize a network's parameters and buffers.

    Args:
        network: Any network.

    Returns:
        A safetensors file.
    """
    named = network.state_dict().items()
    state = {name: value.detach().clone().contiguous() for name, value in named}  # none shared
    return cast("bytes", require("safetensors.torch", "train").save(state))


def decode(data: bytes) -> dict[str, Tensor]:
    """Read what :func:`encode` wrote.

    Args:
        data: A safetensors file whose hash was checked.

    Returns:
        The state for ``load_state_dict``.
    """
    return cast("dict[str, Tensor]", require("safetensors.torch", "train").load(data))
