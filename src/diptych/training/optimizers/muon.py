"""Muon: hidden matrices take orthogonal steps, whatever else is trained those of AdamW.

A step of momentum is replaced by the nearest matrix whose singular values are all alike, so that
rare directions are learned as fast as frequent ones. It is as large as one of AdamW, so that both
share one learning rate. Where norms are fixed, each matrix is brought back to its first norm before
a step, which is then a share of that norm; nothing decays them.

Shapes: G matrices of one shape, A rows (outputs), B columns (inputs times the kernel's size).

Source: K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024: the iteration
and its coefficients; J. Liu et al., "Muon is scalable for LLM training", 2025: the size of a step
and decoupled decay; K. Jordan's `airbench94_muon.py`, 2024: fixed norms. Changed: matrices of one
shape go through one iteration together, wide ones by their products of rows; a fixed norm is the
first one.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
SMALLEST_NORM = 1e-7
STEP_SIZE = 0.2
TURN = 10.0
"""The share of a fixed norm that a step is, over the learning rate."""
BETAS = (0.9, 0.999)
SMALLEST_SPREAD = 1e-8
WIDE = 2
"""Columns per row from which the iteration is done with products of rows, which are smaller."""


class Muon(torch.optim.Optimizer):
    """Steps the groups that are marked `orthogonal` by Muon and the others by AdamW.

    Args:
        groups: Parameters with `weight_decay` and `orthogonal`.
        rate: The learning rate.
        momentum: Of the orthogonal steps, from 0 up to 1; it is Nesterov's.
        bf16: Whether to orthogonalize in bfloat16 also on a processor; on a GPU it always is.
        fixed_norms: Whether orthogonal steps turn matrices instead of adding to them.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        rate: float,
        momentum: float,
        *,
        bf16: bool = False,
        fixed_norms: bool = False,
    ) -> None:
        super().__init__(groups, {"lr": rate, "momentum": momentum, "betas": BETAS, "fused": True})
        self.bf16, self.fixed_norms = bf16, fixed_norms

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step down the gradients that there are.

        Args:
            closure: Not used.
        """
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["orthogonal"]:
                self._step_matrices(group, parameters)
            else:
                self._step_others(group, parameters)

    def _step_matrices(self, group: dict[str, Any], matrices: list[Tensor]) -> None:
        for matrix in matrices:
            if not self.state[matrix]:
                self.state[matrix]["velocity"] = torch.zeros_like(matrix)
                if self.fixed_norms:
                    self.state[matrix]["norm"] = first_norm(matrix)
        if not matrices:
            return
        gradients: list[Any] = [matrix.grad for matrix in matrices]
        velocities = [self.state[matrix]["velocity"] for matrix in matrices]
        torch._foreach_lerp_(velocities, gradients, 1 - group["momentum"])
        wanted = torch._foreach_lerp(gradients, velocities, group["momentum"])
        dtype = torch.bfloat16 if self.bf16 or matrices[0].is_cuda else torch.float32
        directions = orthogonal_directions([w.flatten(1).to(dtype) for w in wanted])
        for matrix, direction in zip(matrices, directions, strict=True):
            self._move(matrix, direction, group["lr"], group["weight_decay"])

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


def orthogonal_directions(matrices: list[Tensor]) -> list[Tensor]:
    """Orthogonalize matrices of several shapes.

    Args:
        matrices: (A, B) each.

    Returns:
        The same number of the same shapes.
    """
    places: defaultdict[torch.Size, list[int]] = defaultdict(list)
    for place, matrix in enumerate(matrices):
        places[matrix.shape].append(place)
    results = list(matrices)
    for alike in places.values():
        directions = orthogonalize(torch.stack([matrices[place] for place in alike]))
        for place, direction in zip(alike, directions, strict=True):
            results[place] = direction
    return results


def orthogonalize(matrices: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Bring all singular values near 1 by an iteration of Newton and Schulz.

    Args:
        matrices: (G, A, B), of the type to compute in.
        iterations: How often the polynomial is applied.

    Returns:
        (G, A, B) with the same singular vectors.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(SMALLEST_NORM)
    exact = x.dtype in {torch.float32, torch.float64}
    by_gram = exact and x.shape[2] >= WIDE * x.shape[1]
    x = _by_gram(x, iterations) if by_gram else _directly(x, iterations)
    return x.mT if tall else x


def _directly(x: Tensor, iterations: int) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(iterations):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x


def _by_gram(x: Tensor, iterations: int) -> Tensor:
    """Do the same with matrices (G, A, A) alone; they commute, for all are polynomials of one."""
    a, b, c = COEFFICIENTS
    gram = x @ x.mT
    product = torch.diag_embed(torch.ones_like(gram[:, 0]))
    for _ in range(iterations):
        rest = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        product = torch.baddbmm(product, rest, product, beta=a)
        half = torch.baddbmm(gram, rest, gram, beta=a)
        gram = torch.baddbmm(half, half, rest, beta=a)
    return product @ x
