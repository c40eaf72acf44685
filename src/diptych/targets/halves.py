"""Keep an ONNX program's weights in float16: half the size, computed in float32 as before.

Each large constant becomes float16 with a cast to float32 behind it, which ONNX Runtime computes
once, when it opens the program; so it is as fast, and as precise as weights of 11 bits are.
"""

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from diptych.targets.compact import compact

LEAST_NUMBERS = 64
"""Below, the cast takes more bytes than it saves."""
SUFFIX = "_half"


def store_halves(model: bytes) -> bytes:
    """Store weights in float16.

    Args:
        model: An ONNX file in float32.

    Returns:
        An ONNX file of the same inputs and outputs; numbers beyond float16 stay as they are.
    """
    halved = onnx.load_from_string(model)
    graph = halved.graph
    casts = [_halve(tensor) for tensor in graph.initializer if _fits(tensor)]
    _prepend(graph, casts)
    return compact(halved)


def _fits(tensor: TensorProto) -> bool:
    if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < LEAST_NUMBERS:
        return False
    return bool(np.abs(numpy_helper.to_array(tensor)).max() <= np.finfo(np.float16).max)


def _halve(tensor: TensorProto) -> NodeProto:
    """Halve a constant in place, and make what gives it back under its own name."""
    name = tensor.name
    halves = numpy_helper.to_array(tensor).astype(np.float16)
    tensor.CopyFrom(numpy_helper.from_array(halves, name + SUFFIX))
    return onnx.helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT)


def _prepend(graph: GraphProto, nodes: list[NodeProto]) -> None:
    following = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *following])
