"""The layout in memory of what an optimizer keeps, which has to be that of the parameters.

Fused steps walk through the memory of a parameter and of its state alike: a restored state of
another layout, such as contiguous beside channels-last, would be mixed up without an error.
"""

from typing import Any, TypeVar

import torch

AnyOptimizer = TypeVar("AnyOptimizer", bound=torch.optim.Optimizer)


def keep_layout(optimizer: AnyOptimizer) -> AnyOptimizer:
    """Bring a restored state into the layout of the parameters, whenever one is loaded.

    Args:
        optimizer: Any.

    Returns:
        The same.
    """
    optimizer.register_load_state_dict_post_hook(_bring_into_layout)
    return optimizer


def _bring_into_layout(optimizer: torch.optim.Optimizer) -> None:
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            state[name] = _like(parameter, value)


def _like(parameter: torch.Tensor, value: Any) -> Any:  # noqa: ANN401  # a tensor or a number
    if not isinstance(value, torch.Tensor) or value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
