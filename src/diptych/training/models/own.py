"""What a user's own task brings to training: its network, by its width alone, and its loss.

Shapes: B batch, K outputs.
"""

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from diptych.core.errors import ConfigError
from diptych.core.specs import Value
from diptych.tasks.code import users_code
from diptych.tasks.own import Task
from diptych.training.objectives import Loss

NETWORK_HINT = "mend it; from spec, outputs and width it builds a torch.nn.Module"
LOSS_HINT = "mend it; of outputs (B, K) and what is wanted of them it gives a scalar tensor"


class OwnConfig(Value, tag_field="name", tag="own"):
    """How wide the task's network is, 1 for the teacher."""

    width: Annotated[float, Meta(gt=0.0, le=64.0)] = 1.0

    def scaled(self, factor: float) -> "OwnConfig":
        """Make the network narrower or wider.

        Args:
            factor: What to multiply the width by.

        Returns:
            The scaled shape.
        """
        return OwnConfig(width=self.width * factor)


def own_network(task: Task, outputs: int, width: float) -> nn.Module:
    """Let a task build its network.

    Args:
        task: The task.
        outputs: K.
        width: 1 for the teacher.

    Returns:
        The network.

    Raises:
        ConfigError: If the task raises, or gives something else.
    """
    what = f"network of task {task.name!r}"
    with users_code(what, NETWORK_HINT):
        network = task.network(task.spec, outputs, width)
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{what} gives a {type(network).__name__}", NETWORK_HINT)
    return network


def own_loss(task: Task | None) -> Loss | None:
    """Give a task's loss, whose errors are told as the user's.

    Args:
        task: The task, where it is the user's own.

    Returns:
        The loss of outputs (B, K) and targets; None where it is the goal's.
    """
    if task is None or task.loss is None:
        return None
    given, what = task.loss, f"loss of task {task.name!r}"

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        with users_code(what, LOSS_HINT, but=(torch.cuda.OutOfMemoryError,)):
            value: Tensor = given(outputs, targets)
            if value.dim():
                raise ValueError(f"it gives {tuple(value.shape)}")
        return value

    return loss
