"""Optimizers, with weight decay on matrices only, and the running average of weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from diptych.training.recipe import TrainingRecipe


def optimizer_of(network: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Make the optimizer of a run.

    Args:
        network: Its trained parameters are optimized.
        recipe: Which optimizer, rate, momentum and decay.

    Returns:
        The optimizer; vectors and scalars, such as biases and norms, do not decay.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=True,
    )


class WeightAverage:
    """The exponential average of a network's weights over the steps of a run.

    Args:
        network: The network.
        decay: The share of the average that stays at each step; 0 keeps no average.

    Source: B. Polyak and A. Juditsky 1992; the early steps count less, as in TensorFlow's
    ExponentialMovingAverage.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        kept = network.state_dict().values() if decay else ()
        self.weights = [tensor for tensor in kept if tensor.is_floating_point()]
        self.average = [tensor.clone() for tensor in self.weights]

    def update(self) -> None:
        """Take the weights of this step in."""
        if not self.decay:
            return
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.average, self.weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in the place of the weights for a while.

        Yields:
            Nothing.
        """
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def keep(self) -> None:
        """Make the average the network's weights."""
        self._swap()

    def _swap(self) -> None:
        for weight, average in zip(self.weights, self.average, strict=True):
            held = weight.clone()
            weight.copy_(average)
            average.copy_(held)
