import numpy as np
import pytest
import torch
from torch import Tensor

from diptych.compression.grids import PACE, ActivationGrid, SameGrid, WeightGrid


def watched(values: Tensor) -> ActivationGrid:
    grid = ActivationGrid().eval()
    grid.watching = True
    assert grid(values) is values
    grid.watching = False
    return grid


@pytest.mark.parametrize("largest", [64, 127])
def test_weights_take_levels_of_their_channel(largest: int) -> None:
    weights = torch.randn(4, 3, 3, 3) * torch.tensor([1e-3, 1.0, 10.0, 100.0]).view(4, 1, 1, 1)
    grid = WeightGrid(4, largest)
    rounded, scale = grid(weights), grid.scales(weights)
    levels = (rounded / scale.view(4, 1, 1, 1)).numpy()
    assert np.abs(levels - levels.round()).max() < 1e-3
    assert np.abs(levels).max(axis=(1, 2, 3)).round().tolist() == [largest] * 4
    assert ((rounded - weights).abs().amax((1, 2, 3)) <= 0.51 * scale).all()


def test_the_gradient_of_weights_passes_as_if_nothing_was_rounded() -> None:
    weights = torch.randn(4, 8, requires_grad=True)
    (WeightGrid(4)(weights) * 3).sum().backward()
    assert weights.grad is not None
    assert torch.equal(weights.grad, torch.full((4, 8), 3.0))


def test_a_channel_of_zeros_stays_zeros() -> None:
    assert torch.equal(WeightGrid(2)(torch.zeros(2, 5)), torch.zeros(2, 5))


def test_activations_take_256_levels_between_the_extremes_that_were_watched() -> None:
    values = torch.linspace(-1.0, 3.0, 4001)
    grid = watched(values)
    rounded = grid(values)
    scale, zero = grid.scale_and_zero()
    assert scale.item() == pytest.approx(4 / 255)
    assert len(rounded.unique()) == 256
    assert (rounded - values).abs().max() <= 0.51 * scale + 1e-6
    assert zero.item() == round(255 / 4)
    assert grid(torch.zeros(1)).item() == 0.0


def test_what_is_never_negative_has_no_level_below_zero() -> None:
    grid = watched(torch.tensor([2.0, 5.0]))
    assert grid.scale_and_zero()[1].item() == 0
    assert grid(torch.tensor([-1.0])).item() == 0.0


def test_what_lies_outside_the_range_is_clipped_and_has_no_gradient() -> None:
    grid = watched(torch.tensor([-1.0, 1.0]))
    values = torch.tensor([-5.0, 0.3, 5.0], requires_grad=True)
    rounded = grid(values)
    rounded.sum().backward()
    assert rounded.detach().tolist() == pytest.approx([-1.0, 0.3, 1.0], abs=0.01)
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 1.0, 0.0]


def test_the_gradient_of_the_scale_is_that_of_the_same_steps_written_out() -> None:
    values = 2 * torch.randn(500, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(500, generator=torch.Generator().manual_seed(1))
    grid = watched(torch.tensor([-1.0, 2.0]))
    (grid(values) * weights).sum().backward()
    scale, zero = (part.detach().double() for part in grid.scale_and_zero())
    growth = torch.zeros((), dtype=torch.float64, requires_grad=True)
    grown = scale * torch.exp2(PACE * growth)
    steps = values.double() / grown
    nearest = steps + (steps.round() - steps).detach()
    written_out = (nearest + zero).clamp(0, 255) - zero
    (written_out * grown * weights).sum().backward()
    assert grid.growth.grad is not None
    assert growth.grad is not None
    assert grid.growth.grad.item() == pytest.approx(growth.grad.item(), rel=1e-3)


@pytest.mark.parametrize(("largest", "grows"), [(4.0, True), (0.001, False)])
def test_a_range_that_clips_is_widened_and_one_that_is_too_coarse_is_narrowed(
    largest: float, grows: bool
) -> None:
    grid = watched(torch.tensor([-1.0, 1.0]))
    optimizer = torch.optim.Adam(grid.parameters(), lr=1e-2)
    values = largest * torch.randn(400, generator=torch.Generator().manual_seed(0))
    before = grid.scale_and_zero()[0].item()
    for _ in range(50):
        loss = (grid(values) - values).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = grid.scale_and_zero()[0].item()
    assert after > 2 * before if grows else after < before / 2


def test_the_range_is_part_of_the_state() -> None:
    grid = watched(torch.tensor([-1.0, 2.0]))
    other = ActivationGrid()
    other.load_state_dict(grid.state_dict())
    assert other.scale_and_zero() == grid.scale_and_zero()


def test_values_that_are_on_a_grid_already_stay_and_share_its_range() -> None:
    grid = watched(torch.tensor([0.0, 1.0]))
    same, values = SameGrid(grid), torch.rand(5)
    assert same(values) is values
    assert same.grids[0] is grid
    assert same.state_dict() == {}
