"""Muon: hidden matrices take orthogonal steps, whatever else is trained those of AdamW.

A step of momentum is replaced by the nearest matrix whose singular values are all alike, so that
rare directions are learned as fast as frequent ones. It is as large as one of AdamW, so that both
share one learning rate. Where norms are fixed, each matrix is brought back to its first norm before
a step, which is then a share of that norm; nothing decays them.

Shapes: A rows (outputs), B columns (inputs times the kernel's size).

Source: K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024; J. Liu et al.,
"Muon is scalable for LLM training", 2025: the size of a step and decoupled decay; K. Jordan's
`airbench94_muon.py`, 2024: fixed norms. Changed: a fixed norm is the first one.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from diptych.training.optimizers.directions import SMALLEST_NORM, orthogonal_directions

STEP_SIZE = 0.2
TURN = 4.0
"""The share of a fixed norm that a step is, over the learning rate."""
BETAS = (0.9, 0.999)
SMALLEST_SPREAD = 1e-8


class Muon(torch.optim.Optimizer):
    """Steps the groups that are marked `orthogonal` by Muon and the others by AdamW.

    Args:
        groups: Parameters with `weight_decay` and `orthogonal`.
        rate: The learning rate.
        momentum: Of the orthogonal steps, from 0 up to 1; it is Nesterov's.
        bf16: Whether to orthogonalize in bfloat16 also on a processor; on a GPU it always is.
        fixed_norms: Whether orthogonal steps turn matrices instead of adding to them.
        orthogonalized: Gives the directions (A, B) of as many matrices.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        rate: float,
        momentum: float,
        *,
        bf16: bool = False,
        fixed_norms: bool = False,
        orthogonalized: Callable[[list[Tensor]], Sequence[Tensor]] = orthogonal_directions,
    ) -> None:
        super().__init__(groups, {"lr": rate, "momentum": momentum, "betas": BETAS, "fused": True})
        self.bf16, self.fixed_norms, self.orthogonalized = bf16, fixed_norms, orthogonalized

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step down the gradients that there are.

        Args:
            closure: Not used.
        """
        hidden = [group for group in self.param_groups if group["orthogonal"]]
        wanted = [direction for group in hidden for direction in self._wanted(group)]
        directions = iter(self.orthogonalized(wanted))
        for group in self.param_groups:
            if not group["orthogonal"]:
                self._step_others(group, _trained(group))
                continue
            for matrix in _trained(group):
                self._move(matrix, next(directions), group["lr"], group["weight_decay"])

    def _wanted(self, group: dict[str, Any]) -> list[Tensor]:
        """Give the momentum of each matrix (A, B), of the type to compute directions in."""
        matrices = _trained(group)
        if not matrices:
            return []
        for matrix in matrices:
            if not self.state[matrix]:
                self.state[matrix]["velocity"] = torch.zeros_like(matrix)
                if self.fixed_norms:
                    self.state[matrix]["norm"] = first_norm(matrix)
        gradients: list[Any] = [matrix.grad for matrix in matrices]
        velocities = [self.state[matrix]["velocity"] for matrix in matrices]
        torch._foreach_lerp_(velocities, gradients, 1 - group["momentum"])
        wanted = torch._foreach_lerp(gradients, velocities, group["momentum"])
        dtype = torch.bfloat16 if self.bf16 or matrices[0].is_cuda else torch.float32
        return [matrix.flatten(1).to(dtype) for matrix in wanted]

    def _move(self, matrix: Tensor, direction: Tensor, rate: float, decay: float) -> None:
        """Move a matrix against a direction (A, B)."""
        if self.fixed_norms:
            norm = self.state[matrix]["norm"]
            matrix.mul_(norm / matrix.norm().clamp_min(SMALLEST_NORM))
            direction, size = direction * norm, TURN / math.sqrt(min(direction.shape))
        else:
            matrix.mul_(1 - rate * decay)
            size = STEP_SIZE * math.sqrt(max(direction.shape))
        matrix.add_(direction.reshape(matrix.shape), alpha=-rate * size)

    def _step_others(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), device=parameter.device)
                state["mean"] = torch.zeros_like(parameter)
                state["square"] = torch.zeros_like(parameter)
        states = [self.state[parameter] for parameter in parameters]
        if not states:
            return
        gradients: list[Any] = [parameter.grad for parameter in parameters]
        adamw(
            parameters,
            gradients,
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=SMALLEST_SPREAD,
            maximize=False,
        )


def first_norm(matrix: Tensor) -> Tensor:
    """Tell the norm that a matrix is to keep.

    Args:
        matrix: (A, ...), as it is at first.

    Returns:
        Its norm; that of a matrix with orthogonal rows of length 1 where it is zero.
    """
    norm = matrix.norm()
    return torch.where(norm > 0, norm, math.sqrt(len(matrix)))


def _trained(group: dict[str, Any]) -> list[Tensor]:
    return [parameter for parameter in group["params"] if parameter.grad is not None]
