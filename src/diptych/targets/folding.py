"""Fold batch norm into the convolution before it, in the exported graph, and what else is simpler.

The exporter folds a norm that follows its convolution directly. Here also one with max pooling
between them, which commutes with a norm whose scale is positive; and ReLU is moved before max
pooling, which commutes with it exactly, so that runtimes join it to the convolution and int8
spends no levels on negative values. A constant that is the same for all channels, as what scales
pixels, becomes one number, which ONNX Runtime applies several times as fast.
"""

from collections import Counter

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div"})


class Links:
    """Who makes and who uses each value of a graph; stale once the graph is changed."""

    def __init__(self, graph: GraphProto) -> None:
        self.constants: dict[str, TensorProto] = {t.name: t for t in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output}
        self._uses = Counter(name for node in graph.node for name in node.input)
        self._uses.update(output.name for output in graph.output)

    def maker(self, name: str, kind: str) -> NodeProto | None:
        """Find the node that makes a value.

        Args:
            name: The value.
            kind: The operation that the node must be.

        Returns:
            The node, or None if it is of another kind or the value has several uses.
        """
        node = self._makers.get(name)
        return node if node and node.op_type == kind and self._uses[name] == 1 else None


def fold(graph: GraphProto) -> None:
    """Fold what norms can be folded, move ReLU before max pooling, and narrow constants.

    Args:
        graph: The graph, changed in place; its batch norms are in inference form. Constants are
            narrowed where the shapes of values are told.
    """
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        _fold_norm(graph, norm)
    links = Links(graph)
    for relu in [node for node in graph.node if node.op_type == "Relu"]:
        pool = links.maker(relu.input[0], "MaxPool")
        if pool and len(pool.output) == 1:
            _swap(pool, relu)
    shapes = {value.name: _shape(value) for value in (*graph.input, *graph.value_info)}
    for node in [node for node in graph.node if node.op_type in ELEMENTWISE]:
        _narrow(graph, node, links.constants, shapes)


def _shape(value: ValueInfoProto) -> list[int]:
    """Return a value's shape, 0 where a size is free."""
    return [size.dim_value for size in value.type.tensor_type.shape.dim]


def _narrow(
    graph: GraphProto,
    node: NodeProto,
    constants: dict[str, TensorProto],
    shapes: dict[str, list[int]],
) -> None:
    """Give a node one number in place of a constant of equal ones, if its result stays as large."""
    for place, name in enumerate(node.input):
        other = shapes.get(node.input[1 - place], [])
        held = constants.get(name)
        if held is None or not 0 < len(held.dims) <= len(other):
            continue
        ends = zip(reversed(held.dims), reversed(other), strict=False)
        array = numpy_helper.to_array(held)
        alike = array.size > 0 and bool((array == array.flat[0]).all())
        if alike and all(own in {1, size} for own, size in ends):
            narrowed = f"{node.output[0]}.narrowed.{place}"
            graph.initializer.append(numpy_helper.from_array(array.flat[0], narrowed))
            node.input[place] = narrowed


def _fold_norm(graph: GraphProto, norm: NodeProto) -> None:
    links = Links(graph)
    pool = links.maker(norm.input[0], "MaxPool")
    convolution = links.maker(pool.input[0] if pool else norm.input[0], "Conv")
    if convolution is None or not _all_constant(links, norm.input[1:], convolution.input[1:]):
        return
    scale, shift = _affine(norm, links)
    if pool and not (scale > 0).all():
        return
    _absorb(graph, convolution, scale, shift)
    (pool or convolution).output[0] = norm.output[0]
    graph.node.remove(norm)


def _all_constant(links: Links, *groups: list[str]) -> bool:
    return all(name in links.constants for names in groups for name in names)


def _affine(norm: NodeProto, links: Links) -> tuple[np.ndarray, np.ndarray]:
    weight, bias, mean, variance = (
        numpy_helper.to_array(links.constants[name]).astype(np.float64) for name in norm.input[1:]
    )
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
    scale = weight / np.sqrt(variance + epsilon)
    return scale, bias - mean * scale  # (C,), (C,) in float64


def _absorb(graph: GraphProto, node: NodeProto, scale: np.ndarray, shift: np.ndarray) -> None:
    """Give a convolution weights (O, I, h, w) and bias (O,) of its own, scaled and shifted."""
    constants = Links(graph).constants
    weights, *bias = (numpy_helper.to_array(constants[name]) for name in node.input[1:])
    folded = {
        "weights": weights * scale.reshape(-1, *[1] * (weights.ndim - 1)),
        "bias": (bias[0] * scale if bias else 0.0) + shift,
    }
    del node.input[1:]
    for role, array in folded.items():
        name = f"{node.output[0]}.folded.{role}"
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
        node.input.append(name)


def _swap(first: NodeProto, second: NodeProto) -> None:
    """Let two nodes in a row change places."""
    kinds = (first.op_type, list(first.attribute)), (second.op_type, list(second.attribute))
    for node, (kind, attributes) in zip((second, first), kinds, strict=True):
        copies = [
            type(attribute).FromString(attribute.SerializeToString()) for attribute in attributes
        ]
        node.op_type = kind
        del node.attribute[:]
        node.attribute.extend(copies)
