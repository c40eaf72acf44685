"""Directions whose singular values are all alike, of many matrices at once.

A team in which each process has all matrices computes each direction once: every process those of
its share, which all get.

Shapes: G matrices of one shape, A rows, B columns.

Source: K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024: the iteration
and its coefficients. Changed: matrices of one shape go through one iteration together, wide ones by
their products of rows.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from diptych.training.team import Team

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
SMALLEST_NORM = 1e-7
WIDE = 2
"""Columns per row from which the iteration is done with products of rows, which are smaller."""
LEAST_SHARED = 1 << 24
"""Multiplications of a product of rows from which it is worth a round of messages to share them."""


def shared_directions(matrices: list[Tensor], team: Team) -> list[Tensor]:
    """Orthogonalize matrices of several shapes together with a team.

    Args:
        matrices: (A, B) each, the same for all.
        team: Who computes them; one whose weights are spread shares the work by itself.

    Returns:
        The same number of the same shapes, the same for all.
    """
    work = [min(matrix.shape) * matrix.numel() for matrix in matrices]
    if team.size == 1 or team.is_sharded or sum(work) < LEAST_SHARED:
        return orthogonal_directions(matrices)
    shares = even_shares(work, team.size)
    own = orthogonal_directions([matrices[place] for place in shares[team.rank]])
    room = max(sum(matrices[place].numel() for place in share) for share in shares)
    numbers = torch.cat([matrices[0].new_empty(0), *(direction.flatten() for direction in own)])
    given = functional.pad(numbers, (0, room - len(numbers)))
    results = list(matrices)
    for share, got in zip(shares, team.gathered(given.view(torch.uint8)), strict=True):
        sizes = [matrices[place].numel() for place in share]
        parts = got.view(given.dtype)[: sum(sizes)].split(sizes)
        for place, part in zip(share, parts, strict=True):
            results[place] = part.view(matrices[place].shape)
    return results


def even_shares(work: Sequence[int], size: int) -> list[list[int]]:
    """Spread pieces of work: the largest first, each to whoever has least.

    Args:
        work: How much each piece is.
        size: How many there are to do it.

    Returns:
        The places of the pieces of each, in order.
    """
    shares: list[list[int]] = [[] for _ in range(size)]
    loads = [0] * size
    for place in sorted(range(len(work)), key=lambda place: -work[place]):
        idle = loads.index(min(loads))
        shares[idle].append(place)
        loads[idle] += work[place]
    return [sorted(share) for share in shares]


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
