"""A teacher that is a function of arrays: a service, another library, several models with a rule.

Shapes: N batch, K outputs.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from diptych.core.errors import ConfigError

Function = Callable[[np.ndarray], np.ndarray]
"""Raw inputs (N, ...), as prepared for a network, to logits or values (N, K)."""


class FunctionNetwork(nn.Module):
    """A function that answers like a network, and has no weights.

    Args:
        function: It is given arrays of its own.
        outputs: K.
    """

    def __init__(self, function: Function, outputs: int) -> None:
        super().__init__()
        self.function, self.outputs = function, outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """Ask the function.

        Args:
            inputs: Raw inputs (N, ...).

        Returns:
            float32 (N, K), where the inputs are.

        Raises:
            ConfigError: If it answers with something else.
        """
        answers = np.asarray(self.function(inputs.detach().cpu().numpy().copy()))
        wanted, name = (len(inputs), self.outputs), name_of(self.function)
        if answers.shape != wanted:
            raise ConfigError(
                f"the teacher {name} answers {len(inputs)} items with {answers.shape}",
                f"give logits or values as {wanted}",
            )
        numbers = answers.astype(np.float32)
        if not np.isfinite(numbers).all():
            raise ConfigError(
                f"the teacher {name} answers with numbers that are not finite", "give logits"
            )
        return torch.from_numpy(numbers).to(inputs.device)


def name_of(function: Function) -> str:
    """Say what to call a function.

    Args:
        function: Any callable.

    Returns:
        Its module and name, or those of its class.
    """
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"
