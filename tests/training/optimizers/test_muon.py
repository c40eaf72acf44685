import math

import pytest
import torch
from torch import Tensor, nn

from diptych.training.optimizers.muon import TURN, Muon


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def grouped(matrix: nn.Parameter, other: nn.Parameter, decay: float) -> list[dict[str, object]]:
    return [
        {"params": [matrix], "weight_decay": decay, "orthogonal": True},
        {"params": [other], "weight_decay": decay / 2, "orthogonal": False},
    ]


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize("shape", [(8, 5), (5, 8)])
def test_steps_are_those_of_torch_up_to_the_rounding_of_its_bfloat16(
    shape: tuple[int, int], bf16: bool
) -> None:
    ours, theirs = nn.Parameter(drawn(*shape)), nn.Parameter(drawn(*shape))
    vectors = [nn.Parameter(drawn(7)) for _ in range(2)]
    optimizer = Muon(grouped(ours, vectors[0], 0.1), 0.02, 0.9, bf16=bf16)
    references = [
        torch.optim.Muon(
            [theirs], lr=0.02, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW([vectors[1]], lr=0.02, weight_decay=0.05),
    ]
    start = ours.detach().clone()
    for number in range(5):
        ours.grad = theirs.grad = drawn(*shape, seed=10 + number)
        vectors[0].grad = vectors[1].grad = drawn(7, seed=20 + number)
        for each in (optimizer, *references):
            each.step()
    assert torch.allclose(vectors[0], vectors[1], atol=1e-6)
    assert (ours - theirs).norm() < (0.005 if bf16 else 0.02) * (ours - start).norm()


def test_filters_are_matrices_of_outputs_by_the_rest_in_any_layout() -> None:
    flat = nn.Parameter(drawn(6, 4 * 9))
    filters = nn.Parameter(drawn(6, 4 * 9).view(6, 4, 3, 3))
    last = nn.Parameter(filters.detach().to(memory_format=torch.channels_last, copy=True))
    gradient = drawn(6, 4 * 9, seed=3)
    for parameter in (flat, filters, last):
        parameter.grad = gradient.view(parameter.shape).clone()
        Muon([{"params": [parameter], "weight_decay": 0.0, "orthogonal": True}], 0.1, 0.9).step()
    assert torch.equal(flat.view(filters.shape), filters)
    assert torch.equal(filters, last)


def test_a_step_is_as_large_as_one_of_adamw() -> None:
    matrix = nn.Parameter(torch.zeros(20, 30))
    matrix.grad = drawn(20, 30)
    Muon([{"params": [matrix], "weight_decay": 0.0, "orthogonal": True}], 1.0, 0.9).step()
    size = math.sqrt(float(matrix.detach().square().mean()))
    assert size == pytest.approx(0.2, rel=0.3)


def test_decay_shrinks_weights_apart_from_the_step() -> None:
    matrices = [nn.Parameter(drawn(4, 4)) for _ in range(2)]
    for matrix, decay in zip(matrices, (0.0, 0.5), strict=True):
        matrix.grad = drawn(4, 4, seed=1)
        Muon([{"params": [matrix], "weight_decay": decay, "orthogonal": True}], 0.1, 0.9).step()
    assert torch.allclose(matrices[0] - matrices[1], 0.05 * drawn(4, 4), atol=1e-6)


def test_a_matrix_of_fixed_norm_is_turned_by_a_share_of_it_whatever_the_norm_is() -> None:
    gradients = [drawn(8, 6, seed=seed) for seed in range(4)]
    angles = []
    for scale in (1.0, 50.0):
        matrix = nn.Parameter(scale * drawn(8, 6))
        first = matrix.detach().clone()
        group = {"params": [matrix], "weight_decay": 0.5, "orthogonal": True}
        optimizer = Muon([group], 0.01, 0.9, fixed_norms=True)
        for gradient in gradients:
            matrix.grad = gradient
            before = matrix.detach() * (first.norm() / matrix.detach().norm())
            optimizer.step()
            moved = (matrix.detach() - before).norm() / first.norm()
            assert float(moved) == pytest.approx(0.01 * TURN, rel=0.2)
        angles.append(matrix.detach() / matrix.detach().norm())
    assert torch.allclose(*angles, atol=1e-5)


def test_a_zero_matrix_of_fixed_norm_comes_to_that_of_orthogonal_rows() -> None:
    matrix = nn.Parameter(torch.zeros(4, 9))
    optimizer = Muon(
        [{"params": [matrix], "weight_decay": 0.0, "orthogonal": True}], 0.02, 0.9, fixed_norms=True
    )
    for seed in range(3):
        matrix.grad = drawn(4, 9, seed=seed)
        optimizer.step()
    assert float(matrix.detach().norm()) == pytest.approx(2.0, rel=0.3)
