"""Several models as one teacher: the mean of what they hold likely.

Shapes: N batch, M models, K outputs.

Source: G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network", 2015.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.values import Goal


class Ensemble(nn.Module):
    """Models that take the same inputs and tell the same labels.

    Args:
        members: In evaluation mode, at least one.
        goal: What their outputs are.
    """

    def __init__(self, members: Sequence[nn.Module], goal: Goal) -> None:
        super().__init__()
        self.members, self.goal = nn.ModuleList(members), goal

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            inputs: Raw inputs (N, ...).

        Returns:
            float32 (N, K), as of one model.
        """
        outputs = [member(inputs).float() for member in self.members]
        return mean_of(self.goal, torch.stack(outputs))


def mean_of(goal: Goal, outputs: Tensor) -> Tensor:
    """Average what several models tell.

    Args:
        goal: What outputs are.
        outputs: float32 (M, N, K).

    Returns:
        (N, K): of classes the logarithm of their mean probability, of labels the logit of it, of
        numbers their mean.
    """
    if goal == "regression":
        return outputs.mean(0)
    if goal == "multi-label":
        having, lacking = functional.logsigmoid(outputs), functional.logsigmoid(-outputs)
        return having.logsumexp(0) - lacking.logsumexp(0)
    return outputs.log_softmax(-1).logsumexp(0) - math.log(len(outputs))
