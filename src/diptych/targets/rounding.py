"""A quantization-aware network with its rounding written out in operations that LiteRT knows.

Weights take int8 levels with a scale per output channel, values 256 levels of their range. What the
last layer gives is on a grid too, for LiteRT has no layer of 8-bit inputs and outputs in float.
What the network computes in float stays so: the scaling of pixels before the first layer, norms,
softmax, and products inside attention.

Shapes: N batch, M calibration items, C outputs of a layer, K outputs.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from diptych.compression.graph import constant
from diptych.compression.grids import ActivationGrid, SameGrid, WeightGrid
from diptych.compression.quantize import QuantizedNetwork
from diptych.core.extras import require
from diptych.training.compute import compute_outputs
from diptych.training.recipe import TrainingRecipe

HALF = 128
"""From levels that begin with 0, as ours, to those of int8."""


def write_rounding(
    network: QuantizedNetwork, calibration: np.ndarray
) -> tuple["Written", np.ndarray]:
    """Write a network's rounding out.

    Args:
        network: In eval mode, on the CPU.
        calibration: Raw inputs (M, ...) of the training split, which show the range of what the
            last layer gives.

    Returns:
        A network of its own; and what the given one answers, float32 (M, K).
    """
    require("torch.ao.quantization.fx._decomposed", "train")  # the operations' names
    twin = copy.deepcopy(network)
    last = ActivationGrid()
    _follow_last_layer(twin.graph, last)
    last.watching = True
    answers = compute_outputs(twin, calibration, TrainingRecipe())
    for call in twin.graph.graph.find_nodes(op="call_module"):
        _write(twin.graph, call)
    twin.graph.recompile()
    return Written(twin), answers


class Written(nn.Module):
    """A network with the rounding of its numbers written out.

    Args:
        network: Its grids replaced.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the outputs (N, K) of raw inputs (N, ...)."""
        outputs: Tensor = self.network(inputs)
        return outputs


class Levels(nn.Module):
    """Numbers to int8 levels of one range, and back.

    Args:
        scale: The distance of two levels.
        zero: The level that stands for 0.
    """

    def __init__(self, scale: float, zero: int) -> None:
        super().__init__()
        self.scale, self.zero = scale, zero

    def forward(self, numbers: Tensor) -> Tensor:
        """Round numbers (N, ...)."""
        grid = (self.scale, self.zero, -HALF, HALF - 1, torch.int8)
        ops = torch.ops.quantized_decomposed
        levels = ops.quantize_per_tensor.default(numbers, *grid)
        found: Tensor = ops.dequantize_per_tensor.default(levels, *grid)
        return found


class WeightLevels(nn.Module):
    """A layer's weights to int8 levels with a scale per output channel, and back.

    Args:
        steps: float32 (C,), the distance of two levels.
        largest: The largest level, and the smallest but for its sign.
    """

    steps: Tensor
    zeros: Tensor

    def __init__(self, steps: Tensor, largest: int) -> None:
        super().__init__()
        self.largest = largest
        self.register_buffer("steps", steps.double())
        self.register_buffer("zeros", torch.zeros(len(steps), dtype=torch.int64))

    def forward(self, weights: Tensor) -> Tensor:
        """Round weights (C, ...)."""
        grid = (self.steps, self.zeros, 0, -self.largest, self.largest, torch.int8)
        ops = torch.ops.quantized_decomposed
        levels = ops.quantize_per_channel.default(weights, *grid)
        found: Tensor = ops.dequantize_per_channel.default(levels, *grid)
        return found


class FromLevels(nn.Module):
    """Rows of a table, looked up as int8 levels, to the numbers that they stand for.

    Args:
        scale: The distance of two levels.
        zero: The level that stands for 0.
    """

    def __init__(self, scale: float, zero: int) -> None:
        super().__init__()
        self.scale, self.zero = scale, zero

    def forward(self, levels: Tensor) -> Tensor:
        """Map int8 (N, ...) to float32 (N, ...)."""
        return (levels.float() - self.zero) * self.scale


def _follow_last_layer(network: GraphModule, grid: ActivationGrid) -> None:
    """Let all users of what the last layer gives have what a grid makes of it."""
    calls = network.graph.find_nodes(op="call_module")
    weights = [c for c in calls if isinstance(network.get_submodule(str(c.target)), WeightGrid)]
    last = [n for n in network.graph.nodes if not {*weights}.isdisjoint(n.all_input_nodes)][-1]
    _follow(network, last, grid)
    network.recompile()


def _follow(network: GraphModule, value: Node, module: nn.Module) -> None:
    """Let all users of a value have what a module makes of it."""
    name = f"after_{value.name}"
    network.add_submodule(name, module)
    with network.graph.inserting_after(value):
        call = network.graph.call_module(name, (value,))
    value.replace_all_uses_with(call, delete_user_cb=lambda user: user is not call)


def _write(network: GraphModule, call: Node) -> None:
    """Write out what the call of a grid does."""
    grid, held = network.get_submodule(str(call.target)), constant(network, call.args[0])
    if isinstance(grid, WeightGrid) and held is not None:
        network.set_submodule(str(call.target), WeightLevels(grid.scales(held), grid.levels))
    elif isinstance(grid, SameGrid):
        network.set_submodule(str(call.target), _levels(grid.grids[0]))
    elif isinstance(grid, ActivationGrid) and held is None:
        network.set_submodule(str(call.target), _levels(grid))
    elif isinstance(grid, ActivationGrid) and held is not None:
        _write_table(network, call, _levels(grid), held.detach())


def _write_table(network: GraphModule, call: Node, levels: Levels, table: Tensor) -> None:
    """Let rows be looked up in int8: rounded like other weights, the table would be in float."""
    rows = ((table / levels.scale).round() + levels.zero).clamp(-HALF, HALF - 1)
    network.register_buffer(f"{call.name}_rows", rows.to(torch.int8))
    with network.graph.inserting_before(call):
        held = network.graph.get_attr(f"{call.name}_rows")
    lookups = list(call.users)
    call.replace_all_uses_with(held)
    network.graph.erase_node(call)
    for lookup in lookups:
        _follow(network, lookup, FromLevels(levels.scale, levels.zero))


def _levels(grid: ActivationGrid) -> Levels:
    scale, zero = (part.detach() for part in grid.scale_and_zero())
    return Levels(float(scale), int(zero) - HALF)
