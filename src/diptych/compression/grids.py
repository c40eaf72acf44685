"""Fake quantization: numbers in float that only take the values of an 8-bit grid.

Weights take int8 levels with one scale per output channel, zero in the middle; activations take
uint8 levels of one range, which begins with the extremes of calibration items and is learned. The
gradient passes as if nothing was rounded, but for what lies outside the range.

Shapes: C outputs of a layer.

Source: S. Esser et al., "Learned step size quantization", 2020: the gradient of the scale; S. Jain
et al., "Trained quantization thresholds", 2020: learning it as a power of two. Changed: no scaling
of that gradient, for the optimizer scales it.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

WEIGHT_LEVELS = 127
"""Of each sign; -128 is left out, so that the grid is symmetric."""
EXACT_LEVELS = 64
"""Two products of a weight's level and an input's fit 16 bits, in which x86-64 processors without
VNNI add them up: with more levels their sums are cut."""
TOP_LEVEL = 255
LEAST_SCALE = 1e-6
PACE = 10.0
"""How much faster than a weight a range is learned, in powers of two."""


class WeightGrid(nn.Module):
    """Rounds a layer's weights to int8 levels.

    Args:
        channels: C.
        levels: Of each sign, at most `WEIGHT_LEVELS`.
    """

    zero: Tensor

    def __init__(self, channels: int, levels: int = WEIGHT_LEVELS) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("zero", torch.zeros(channels), persistent=False)

    def forward(self, weights: Tensor) -> Tensor:
        """Round weights.

        Args:
            weights: float32 (C, ...).

        Returns:
            The nearest multiples of each channel's scale.
        """
        rounded: Tensor = torch.fake_quantize_per_channel_affine(
            weights, self.scales(weights), self.zero, 0, -self.levels, self.levels
        )
        return rounded

    def scales(self, weights: Tensor) -> Tensor:
        """Give the scale of each channel.

        Args:
            weights: float32 (C, ...).

        Returns:
            float32 (C,), the distance of two levels.
        """
        largest = weights.detach().flatten(1).abs().amax(1)
        return (largest / self.levels).clamp_min(LEAST_SCALE)


class ActivationGrid(nn.Module):
    """Rounds a layer's inputs to uint8 levels of a range that is learned.

    While `watching`, it takes in the extremes of what passes and rounds nothing: `low` and `high`.
    The range that is rounded to is theirs, times two to the power of `PACE` times `growth`, which
    is trained. The level that stands for 0 stays.
    """

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.growth = nn.Parameter(torch.zeros(()))
        self.watching = False

    def forward(self, values: Tensor) -> Tensor:
        """Round values.

        Args:
            values: float32 (N, ...).

        Returns:
            The nearest levels, or the values themselves while watching.
        """
        if self.watching:
            low, high = values.aminmax()
            self.low.copy_(torch.minimum(self.low, low))
            self.high.copy_(torch.maximum(self.high, high))
            return values
        rounded: Tensor = Rounding.apply(values, *self.scale_and_zero())  # type: ignore[no-untyped-call]  # torch's own
        return rounded

    def scale_and_zero(self) -> tuple[Tensor, Tensor]:
        """Give the grid.

        Returns:
            The distance of two levels, float32; and the level that stands for 0, int32.
        """
        scale = ((self.high - self.low) / TOP_LEVEL).clamp_min(LEAST_SCALE)
        zero = (-self.low / scale).round().clamp(0, TOP_LEVEL).to(torch.int32)
        return scale * torch.exp2(PACE * self.growth), zero


class Rounding(torch.autograd.Function):
    """Rounds activations; the gradient of the scale weighs what is clipped against what is rounded.

    A longer step lets a clipped value grow by its number of steps, and moves a rounded one by as
    much as it was rounded.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """Round values (N, ...) to multiples of the scale, as many as there are levels."""
        ctx.save_for_backward(values, scale, zero)
        rounded: Tensor = torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, TOP_LEVEL)
        return rounded

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Give the gradients of values and scale."""
        values, scale, zero = ctx.saved_tensors  # type: ignore[attr-defined]  # torch adds it
        steps = values / scale
        wanted = steps.round() + zero
        level = wanted.clamp(0, TOP_LEVEL)
        inside = wanted == level
        passed = gradients[0] * inside
        per_step = gradients[0] * (level - zero) - passed * steps
        return passed, per_step.sum(), None


class SameGrid(nn.Module):
    """Rounds to the levels of another grid what was picked from values on them: nothing changes.

    It tells lowering that these values are on that grid.

    Args:
        grid: The other.
    """

    def __init__(self, grid: ActivationGrid) -> None:
        super().__init__()
        self.grids = (grid,)  # in a tuple, so that its state is kept once

    def forward(self, values: Tensor) -> Tensor:
        """Give the values (N, ...) as they are."""
        return values
