"""Schedule-free AdamW: an average of all steps takes the place of a falling learning rate.

Steps are taken from a point z, gradients computed at y between z and the average x of all z; x is
what is evaluated and kept, with what batch norms see there (`training.recount`). The rate is
constant after a warm-up, so a run may end at any time.

Source: A. Defazio et al., "The road less scheduled", 2024: the method with AdamW; the average
weights a step by the square of the highest rate so far.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
SMALLEST_SPREAD = 1e-8


class ScheduleFree(torch.optim.Optimizer):
    """Steps parameters, which are y, and keeps z and x beside them.

    Args:
        groups: Parameters with `weight_decay`.
        rate: The learning rate.
    """

    def __init__(self, groups: list[dict[str, Any]], rate: float) -> None:
        counted = {"steps": 0, "highest": 0.0, "weight": 0.0}
        super().__init__(groups, {"lr": rate, "betas": BETAS} | counted)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step down the gradients that there are.

        Args:
            closure: Not used.
        """
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            for parameter in parameters:
                self._begin(parameter, 1 - group["betas"][1] ** group["steps"])
            group["steps"] += 1
            rate = group["lr"] * math.sqrt(1 - group["betas"][1] ** group["steps"])
            group["highest"] = max(group["highest"], rate)
            group["weight"] += group["highest"] ** 2
            if parameters:
                self._step(group, parameters, rate)

    def _begin(self, parameter: Tensor, known: float) -> None:
        """Begin what is kept of a parameter, in the middle of a run as if all gradients were alike.

        `known` is the share of the mean square that the steps before would have made.
        """
        state = self.state[parameter]
        if not state and parameter.grad is not None:
            state["z"], state["x"] = parameter.detach().clone(), parameter.detach().clone()
            square = torch.zeros_like(parameter)
            state["square"] = square.add_(parameter.grad.square(), alpha=known)

    def _step(self, group: dict[str, Any], parameters: list[Tensor], rate: float) -> None:
        toward_x, kept = group["betas"]
        gradients: list[Any] = [parameter.grad for parameter in parameters]
        z, x, square = (
            [self.state[parameter][name] for parameter in parameters]
            for name in ("z", "x", "square")
        )
        torch._foreach_mul_(square, kept)
        torch._foreach_addcmul_(square, gradients, gradients, 1 - kept)
        spread = torch._foreach_sqrt(square)
        torch._foreach_add_(spread, SMALLEST_SPREAD)
        if group["weight_decay"]:
            torch._foreach_add_(z, parameters, alpha=-rate * group["weight_decay"])
        torch._foreach_addcdiv_(z, gradients, spread, -rate)
        share = group["highest"] ** 2 / group["weight"] if group["weight"] else 0.0
        torch._foreach_lerp_(x, z, share)
        for parameter, y in zip(parameters, torch._foreach_lerp(z, x, toward_x), strict=True):
            parameter.copy_(y)


class AveragedPoint:
    """The average x of a schedule-free run; it is kept in the optimizer's own state.

    Args:
        optimizer: That of the run.
    """

    def __init__(self, optimizer: ScheduleFree) -> None:
        self.optimizer = optimizer

    def update(self) -> None:
        """Do nothing: the step itself averages."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put x in the place of y for a while.

        Yields:
            Nothing.
        """
        held = [(parameter, parameter.detach().clone()) for parameter, _ in self._averages()]
        self.keep()
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, trained in held:
                    parameter.copy_(trained)

    @torch.no_grad()
    def keep(self) -> None:
        """Make x the network's weights."""
        for parameter, average in self._averages():
            parameter.copy_(average)

    def state_dict(self) -> dict[str, Any]:
        """Give nothing: the optimizer's state is whole.

        Returns:
            An empty state.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: the optimizer's state is whole.

        Args:
            state: An empty state.
        """

    def _averages(self) -> list[tuple[Tensor, Tensor]]:
        states = self.optimizer.state.items()
        return [(parameter, state["x"]) for parameter, state in states]
