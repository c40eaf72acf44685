import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diptych.training.optimizers import directions
from diptych.training.optimizers.directions import (
    even_shares,
    orthogonal_directions,
    orthogonalize,
    shared_directions,
)
from diptych.training.team import SOLO, Team

SHAPES = [(4, 6), (6, 4), (4, 6), (3, 3), (4, 6), (2, 40)]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 100))
def test_singular_vectors_stay_and_singular_values_come_near_1(
    rows: int, columns: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    left, _ = np.linalg.qr(random.normal(size=(rows, rows)))
    right, _ = np.linalg.qr(random.normal(size=(columns, columns)))
    count = min(rows, columns)
    values = random.uniform(0.1, 1.0, count)
    matrix = left[:, :count] @ np.diag(values) @ right[:count]
    found = orthogonalize(torch.from_numpy(matrix).float()[None])[0].double().numpy()
    core = (left.T @ found @ right.T)[:count, :count]
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(core), rel=1e-3)
    assert np.abs(core - np.diag(np.diag(core))).max() < 2e-3
    assert (np.diag(core) > 0.6).all()
    assert (np.diag(core) < 1.3).all()


@pytest.mark.parametrize("shape", [(6, 54), (54, 6), (16, 16), (16, 33), (3, 6)])
@pytest.mark.parametrize("smallest", [1.0, 1e-4])
def test_matrices_of_any_shape_go_through_the_published_iteration(
    shape: tuple[int, int], smallest: float
) -> None:
    left, values, right = torch.linalg.svd(drawn(*shape).double(), full_matrices=False)
    matrix = left * torch.logspace(0, math.log10(smallest), len(values)) @ right
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    found = orthogonalize(matrix.float()[None])[0].double()
    assert float((found - x).norm() / x.norm()) < 1e-3


@pytest.mark.parametrize("shape", [(3, 4), (3, 40)])
def test_a_matrix_without_a_direction_stays_zero(shape: tuple[int, int]) -> None:
    assert not orthogonalize(torch.zeros(1, *shape)).any()


def test_matrices_of_one_shape_together_are_as_each_alone() -> None:
    shapes = [(4, 6), (6, 4), (4, 6), (3, 3), (4, 6)]
    matrices = [drawn(*shape, seed=number) for number, shape in enumerate(shapes)]
    for matrix, direction in zip(matrices, orthogonal_directions(matrices), strict=True):
        assert torch.allclose(direction, orthogonalize(matrix[None])[0], atol=1e-6)


class Threads(Team):
    """One of a team of threads."""

    def __init__(self, rank: int, size: int, given: dict[int, Tensor], meet: Barrier) -> None:
        self.rank, self.size, self.given, self.meet = rank, size, given, meet

    def gathered(self, own: Tensor) -> Tensor:
        self.given[self.rank] = own
        self.meet.wait(timeout=60)
        return torch.stack([self.given[rank] for rank in range(self.size)])


def together(matrices: list[Tensor], size: int) -> Iterable[list[Tensor]]:
    """Let each of a team say what it gets."""
    given, meet = dict[int, Tensor](), Barrier(size)
    team = [Threads(rank, size, given, meet) for rank in range(size)]
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(shared_directions, [matrices] * size, team))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [2, 3, 8])
def test_a_team_gets_the_directions_of_one_each_computed_once(
    size: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrices = [drawn(*shape, seed=seed).to(dtype) for seed, shape in enumerate(SHAPES)]
    alone = orthogonal_directions(matrices)
    computed = list[tuple[int, ...]]()

    def count(stacked: Tensor) -> Tensor:
        computed.extend([tuple(stacked.shape[1:])] * len(stacked))
        return orthogonalize(stacked)

    monkeypatch.setattr(directions, "orthogonalize", count)
    monkeypatch.setattr(directions, "LEAST_SHARED", 0)
    first, *others = together(matrices, size)
    assert sorted(computed) == sorted(SHAPES)
    for other in others:
        assert all(map(torch.equal, first, other))
    for one, found in zip(alone, first, strict=True):
        torch.testing.assert_close(found, one)


def test_a_little_work_is_not_shared_nor_is_that_of_one() -> None:
    matrices = [drawn(*shape) for shape in SHAPES]
    lonely = Threads(0, 2, {}, Barrier(2))
    for team in (SOLO, lonely):
        alone = orthogonal_directions(matrices)
        assert all(map(torch.equal, shared_directions(matrices, team), alone))


@given(st.lists(st.integers(0, 1000)), st.integers(1, 9))
def test_every_piece_is_in_one_share_and_no_share_is_much_more_than_another(
    work: list[int], size: int
) -> None:
    shares = even_shares(work, size)
    assert sorted(place for share in shares for place in share) == list(range(len(work)))
    loads = [sum(work[place] for place in share) for share in shares]
    assert max(loads) - min(loads) <= max(work, default=0)
