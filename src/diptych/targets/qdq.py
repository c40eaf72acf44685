"""Write a quantization-aware network as an ONNX program in QDQ form, with the scales it learned.

Weights become int8 constants, activations pairs of QuantizeLinear and DequantizeLinear, which
runtimes turn into integer kernels. ONNX Runtime wants pairs around what only picks values, such as
max pooling, and for linear layers zero points of weights and biases in int32, in steps of the
input's scale times the weights', without which it runs them in float; OpenVINO wants none of these.

Shapes: N batch, C outputs of a layer.
"""

import copy

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from diptych.compression.graph import constant
from diptych.compression.grids import (
    TOP_LEVEL,
    ActivationGrid,
    SameGrid,
    WeightGrid,
)
from diptych.compression.quantize import QuantizedNetwork
from diptych.core.specs import TensorSpec
from diptych.targets import Runtime
from diptych.targets.onnx import export

LINEAR = torch.ops.aten.linear.default
LARGEST_INT32 = 2**31 - 1


def export_quantized(network: QuantizedNetwork, spec: TensorSpec, runtime: Runtime) -> bytes:
    """Export a quantization-aware network.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits float32 (N, K).
        spec: The input.
        runtime: What is to run it.

    Returns:
        The content of an ONNX file in QDQ form; the same bytes for the same weights and versions.

    Raises:
        TargetError: If the network is in training mode, or has an operation that ONNX lacks.
    """
    written = copy.deepcopy(network)
    graph = written.graph
    for node in list(graph.graph.nodes):
        if node.target == LINEAR and runtime == "onnxruntime":
            _write_bias(graph, node)
    for node in list(graph.graph.nodes):
        if node.op == "call_module":
            _write_grid(graph, node, runtime)
    graph.recompile()
    return export(written, spec)


class Levels(nn.Module):
    """Constants in integers and the step that turns them into numbers.

    Args:
        levels: int8 or int32 (C, ...), or uint8 of any shape.
        scale: float32 (C,), or a scalar.
        zero: Of the type of the levels and the shape of the scale; without it 0 stands for 0.
    """

    levels: Tensor
    scale: Tensor
    zero: Tensor | None

    def __init__(self, levels: Tensor, scale: Tensor, zero: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("levels", levels)
        self.register_buffer("scale", scale)
        self.register_buffer("zero", zero)

    def forward(self, numbers: Tensor) -> Tensor:
        """Write the constants in place of the numbers."""
        return _dequantize(self.levels, self.scale, self.zero, numbers)


class Pair(nn.Module):
    """Numbers to levels and back.

    Args:
        scale: float32 scalar.
        zero: uint8 scalar.
    """

    scale: Tensor
    zero: Tensor

    def __init__(self, scale: Tensor, zero: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("zero", zero)

    def forward(self, numbers: Tensor) -> Tensor:
        """Write both steps after the numbers (N, ...)."""
        levels = torch.onnx.ops.symbolic(
            "QuantizeLinear",
            (numbers, self.scale, self.zero),
            dtype=torch.uint8,
            shape=numbers.shape,
        )
        return _dequantize(levels, self.scale, self.zero, numbers)


def _dequantize(levels: Tensor, scale: Tensor, zero: Tensor | None, like: Tensor) -> Tensor:
    return torch.onnx.ops.symbolic(
        "DequantizeLinear",
        (levels, scale) if zero is None else (levels, scale, zero),
        attrs={"axis": 0} if scale.dim() else {},
        dtype=torch.float32,
        shape=like.shape,
    )


def _write_grid(network: GraphModule, call: Node, runtime: Runtime) -> None:
    """Put what is written in the place of a grid."""
    name = str(call.target)
    grid, held = network.get_submodule(name), constant(network, call.args[0])
    values = _activation_grid(network, call)
    if isinstance(grid, SameGrid) and runtime == "openvino":
        network.set_submodule(name, nn.Identity())
    elif values is not None:
        network.set_submodule(name, _values(values, held))
    elif isinstance(grid, WeightGrid) and held is not None:
        linear = runtime == "onnxruntime" and held.dim() == 2
        zero = torch.zeros(len(held), dtype=torch.int8) if linear else None
        network.set_submodule(name, _levels(held, grid.scales(held), torch.int8, zero))


def _values(grid: ActivationGrid, table: Tensor | None) -> nn.Module:
    """Make what is written for values on a grid; a table that is looked up is constant."""
    scale, zero = (part.detach() for part in grid.scale_and_zero())
    if table is None:
        return Pair(scale, zero.to(torch.uint8))
    levels = ((table.detach() / scale).round() + zero).clamp(0, TOP_LEVEL)
    return Levels(levels.to(torch.uint8), scale, zero.to(torch.uint8))


def _write_bias(network: GraphModule, layer: Node) -> None:
    """Write a linear layer's bias in int32, if it fits; a layer without grids has none."""
    inputs, rounded, held = (*layer.args, None)[:3]
    bias, grid = constant(network, held), _activation_grid(network, inputs)
    steps = _weight_scales(network, rounded)
    if bias is None or grid is None or steps is None or not isinstance(held, Node):
        return
    scale = grid.scale_and_zero()[0].detach() * steps
    if bool((bias.abs() > scale * LARGEST_INT32).any()):
        return
    name = f"{layer.name}_bias"
    network.add_submodule(name, _levels(bias, scale, torch.int32))
    with network.graph.inserting_before(layer):
        layer.update_arg(2, network.graph.call_module(name, (held,)))


def _weight_scales(network: GraphModule, value: object) -> Tensor | None:
    """Find the scales of weights, by what has just rounded them."""
    if not isinstance(value, Node) or value.op != "call_module":
        return None
    grid, weights = network.get_submodule(str(value.target)), constant(network, value.args[0])
    if not isinstance(grid, WeightGrid) or weights is None:
        return None
    return grid.scales(weights)


def _activation_grid(network: GraphModule, value: object) -> ActivationGrid | None:
    """Find the grid that a value is on, by what has just rounded it."""
    if not isinstance(value, Node) or value.op != "call_module":
        return None
    grid = network.get_submodule(str(value.target))
    if isinstance(grid, SameGrid):
        return grid.grids[0]
    return grid if isinstance(grid, ActivationGrid) else None


def _levels(
    numbers: Tensor, scale: Tensor, dtype: torch.dtype, zero: Tensor | None = None
) -> Levels:
    steps = scale.double().view(-1, *[1] * (numbers.dim() - 1))
    return Levels((numbers.detach().double() / steps).round().to(dtype), scale, zero)
