"""The running average of weights over the steps of a run."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Average(Protocol):
    """Weights to evaluate and keep, apart from those that are trained."""

    def update(self) -> None:
        """Take the weights of this step in."""
        ...

    def applied(self) -> AbstractContextManager[None]:
        """Put the average in the place of the weights for a while."""
        ...

    def keep(self) -> None:
        """Make the average the network's weights."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Give what has to be kept to go on: tensors and numbers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what was kept."""
        ...


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
        kept = _each_once(network.state_dict(keep_vars=True)) if decay else {}
        kept = {name: tensor for name, tensor in kept.items() if tensor.is_floating_point()}
        self.names, self.weights = list(kept), list(kept.values())
        self.average = [tensor.clone() for tensor in self.weights]
        self._alike = self._by_type()

    def update(self) -> None:
        """Take the weights of this step in."""
        if not self.decay:
            return
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for average, weights in self._alike:
            torch._foreach_lerp_(average, weights, 1 - decay)

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

    def state_dict(self) -> dict[str, Any]:
        """Give what has to be kept to go on.

        Returns:
            The number of `steps` and the `average` by name.
        """
        return {"steps": self.steps, "average": dict(zip(self.names, self.average, strict=True))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what was kept.

        Args:
            state: From `state_dict` of the average of a network of the same shape.
        """
        self.steps = state["steps"]
        for name, average in zip(self.names, self.average, strict=True):
            average.copy_(state["average"][name])

    def _by_type(self) -> list[tuple[list[Tensor], list[Tensor]]]:
        """Return averages and weights, of whole and of sharded tensors apart."""
        kinds = {type(tensor) for tensor in self.weights}
        pairs = list(zip(self.average, self.weights, strict=True))
        alike = [[pair for pair in pairs if type(pair[1]) is kind] for kind in kinds]
        return [([a for a, _ in group], [w for _, w in group]) for group in alike]

    def _swap(self) -> None:
        for weight, average in zip(self.weights, self.average, strict=True):
            held = weight.clone()
            weight.copy_(average)
            average.copy_(held)


def _each_once(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take tensors that are tied under one name; those in shares are told apart by identity."""
    names: dict[int, str] = {}
    for name, tensor in tensors.items():
        names.setdefault(tensor.data_ptr() or id(tensor), name)
    return {name: tensors[name].detach() for name in names.values()}
