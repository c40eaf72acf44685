"""Quantization-aware networks: what an 8-bit program will round is rounded while it is trained.

Rounded are the weights of layers (convolutions and linear layers), what goes into a layer, what
comes out of it with its ReLU or ReLU6, both sides and the result of a sum or product with such
values, what a maximum is taken of, and tables of which rows are looked up; not what comes before
all of these, as the scaling of pixels, nor the outputs of the last layer. Everything else is
computed in float between rounded values.

Products and maxima are among them because OpenVINO 2026.4 otherwise computes something else: it
takes a mask that a rounded value is multiplied with for a scale, and moves a layer norm's scale
across a maximum.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.fx import GraphModule, Node

from diptych.compression.graph import (
    LAYERS,
    MAX_POOL,
    RELU,
    capture,
    constant,
    is_clamp,
    only_user,
)
from diptych.compression.grids import EXACT_LEVELS, ActivationGrid, SameGrid, WeightGrid
from diptych.core.errors import TargetError
from diptych.core.specs import TensorSpec
from diptych.training.compute import EVALUATION_BATCH, items_at_once, tensor_of

aten = torch.ops.aten
TABLE = aten.embedding.default
JOINING = frozenset({aten.add.Tensor, aten.add_.Tensor, aten.mul.Tensor})
MAXIMUM = MAX_POOL | {aten.amax.default}
PICKING = MAXIMUM | {
    aten.flatten.using_ints,
    aten.view.default,
    aten.reshape.default,
    aten.permute.default,
    aten.transpose.int,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    TABLE,
}
"""Operations whose results are some of the values they are given."""


Grids = dict[object, ActivationGrid]
"""The grid of each value that is on one so far, by the operation that makes it."""


class QuantizedNetwork(nn.Module):
    """A network whose numbers are rounded as an 8-bit program rounds them.

    Args:
        graph: A captured network with grids.
    """

    def __init__(self, graph: GraphModule) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Compute the outputs.

        Args:
            inputs: Raw (N, ...).

        Returns:
            float32 (N, K).
        """
        outputs: torch.Tensor = self.graph(inputs)
        return outputs


def quantization_aware(
    network: nn.Module,
    spec: TensorSpec,
    calibration: np.ndarray,
    *,
    levels: int = EXACT_LEVELS,
) -> QuantizedNetwork:
    """Make a quantization-aware network of a trained one, its norms folded.

    Args:
        network: In eval mode; takes what `spec` says.
        spec: The input.
        calibration: Raw inputs (M, ...) of the training split, whose extremes are the first ranges.
        levels: Of each sign, of every weight.

    Returns:
        A network of its own, in eval mode, on the CPU.

    Raises:
        TargetError: If torch cannot follow the network, or it has no layer with weights.
    """
    captured = capture(network, spec)
    layers = [node for node in captured.graph.nodes if _is_layer(captured, node)]
    if not layers:
        raise TargetError("the network has no layer with weights to quantize")
    tables = [node for node in captured.graph.nodes if _is_table(captured, node)]
    _place_grids(captured, tables, layers, levels)
    captured.recompile()
    quantized = QuantizedNetwork(captured).eval()
    with _watching(quantized), torch.inference_mode():
        size = items_at_once(calibration.shape, EVALUATION_BATCH)
        for start in range(0, len(calibration), size):
            quantized(tensor_of(calibration[start : start + size]))
    _drop_clamps(captured)
    return quantized


def moved(network: QuantizedNetwork, device: torch.device) -> QuantizedNetwork:
    """Move a network to a device, with what its graph makes on the way.

    Args:
        network: Anywhere.
        device: Where to.

    Returns:
        The same network.
    """
    for node in network.graph.graph.nodes:
        if "device" in node.kwargs:
            node.update_kwarg("device", device)
    network.graph.recompile()
    return network.to(device)


def _is_layer(network: GraphModule, node: Node) -> bool:
    if node.target not in LAYERS:
        return False
    weights = constant(network, node.args[1])
    return weights is not None and weights.requires_grad


def _is_table(network: GraphModule, node: Node) -> bool:
    held = constant(network, node.args[0]) if node.target is TABLE else None
    return held is not None and held.requires_grad


def _joins(node: Node, grids: Grids) -> bool:
    """Say whether two computed values are joined, one of them rounded."""
    computed = [isinstance(a, Node) and a.op != "get_attr" for a in node.args]
    return node.target in JOINING and all(computed) and any(a in grids for a in node.args)


def _place_grids(network: GraphModule, tables: list[Node], layers: list[Node], levels: int) -> None:
    """Place grids up to the last layer."""
    grids: Grids = {}
    for table in tables:
        _round_value(network, grids, table.args[0])
    nodes = list(network.graph.nodes)
    first = min(nodes.index(node) for node in (*tables, layers[0]))
    for node in nodes[first : nodes.index(layers[-1]) + 1]:
        if node in layers:
            _round_weights(network, node, levels)
            _round_value(network, grids, node.args[0])
        if node in layers[:-1]:
            _round_result(network, grids, node)
        elif _joins(node, grids):
            for argument in node.args:
                _round_value(network, grids, argument)
            _round_result(network, grids, node)
        elif node.target in PICKING:
            _keep_grid(network, grids, node)


def _keep_grid(network: GraphModule, grids: Grids, node: Node) -> None:
    """Let what is picked from rounded values be on their grid."""
    if node.target in MAXIMUM:
        _round_value(network, grids, node.args[0])
    grid = grids.get(node.args[0])
    if grid is not None:
        grids[_insert(network, node, SameGrid(grid))] = grid


def _round_weights(network: GraphModule, layer: Node, levels: int) -> None:
    held = layer.args[1]
    weights = constant(network, held)
    if weights is not None and isinstance(held, Node):
        layer.update_arg(1, _call(network, held, layer.name, WeightGrid(len(weights), levels)))


def _round_result(network: GraphModule, grids: Grids, node: Node) -> None:
    user = only_user(node)
    ends = user is not None and (user.target in RELU or is_clamp(user))
    _round_value(network, grids, user if ends else node)


def _round_value(network: GraphModule, grids: Grids, value: object) -> None:
    if isinstance(value, Node) and value not in grids and value.meta["val"].is_floating_point():
        grid = ActivationGrid()
        grids[_insert(network, value, grid)] = grid


def _drop_clamps(network: GraphModule) -> None:
    """Leave clamping to the grids that follow: their ranges begin as narrow.

    ONNX Runtime 1.32 computes a convolution in float whose clamp is narrower than its grid, as it
    may be once the range was learned.
    """
    for node in list(network.graph.nodes):
        user = only_user(node)
        if is_clamp(node) and user is not None and user.op == "call_module":
            node.replace_all_uses_with(node.args[0])
            network.graph.erase_node(node)
    network.recompile()


def _insert(network: GraphModule, value: Node, grid: nn.Module) -> Node:
    """Let all users of a value have what a grid makes of it."""
    call = _call(network, value, value.name, grid)
    value.replace_all_uses_with(call, delete_user_cb=lambda user: user is not call)
    return call


def _call(network: GraphModule, value: Node, name: str, grid: nn.Module) -> Node:
    name = f"{name}_{type(grid).__name__}"
    network.add_submodule(name, grid)
    with network.graph.inserting_after(value):
        return network.graph.call_module(name, (value,))


@contextmanager
def _watching(network: nn.Module) -> Iterator[None]:
    grids = [module for module in network.modules() if isinstance(module, ActivationGrid)]
    for grid in grids:
        grid.watching = True
    yield
    for grid in grids:
        grid.watching = False
