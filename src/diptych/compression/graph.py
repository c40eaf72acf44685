"""A network as the graph of its operations, with its norms folded: what lowering will compute.

The operations are those of inference: a norm is the fixed map it has become, and folds into the
layer before it, through max pooling too where its scale is positive; ReLU moves before max
pooling. Neither changes what is computed, and a layer, its norm and its ReLU become one step.

Shapes: N batch, C outputs of a layer.
"""

import copy
import operator
from typing import cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.graph import CodeGen

from diptych.compression.failing_layer import hushed, place_of
from diptych.core.errors import TargetError
from diptych.core.specs import TensorSpec

aten = torch.ops.aten
LINEAR = aten.linear.default
LAYERS = frozenset(
    {
        aten.conv1d.default,
        aten.conv2d.default,
        aten.conv1d.padding,  # where it is given by a word, as in padding="same"
        aten.conv2d.padding,
        LINEAR,
    }
)
RELU = frozenset({aten.relu.default, aten.relu_.default})
RELU6 = frozenset({aten.relu6.default, aten.relu6_.default})
HARDTANH = frozenset({aten.hardtanh.default, aten.hardtanh_.default})
MAX_POOL = frozenset({aten.max_pool1d.default, aten.max_pool2d.default})
NORM = aten.batch_norm.default
EXAMPLES = 2
LARGEST_BATCH = 1 << 16
FAILURES = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    torch._dynamo.exc.TorchDynamoException,
)


def capture(network: nn.Module, spec: TensorSpec) -> GraphModule:
    """Write a network down as a graph that can be trained, its norms folded.

    Args:
        network: In eval mode; takes what `spec` says.
        spec: The input; its first axis is the free batch axis.

    Returns:
        A network of its own, on the CPU, that computes what the given one does in eval mode.

    Raises:
        TargetError: If the network is in training mode, or torch cannot follow it.
    """
    if network.training:
        raise TargetError("the network is in training mode", "call eval() before it is captured")
    shape = [EXAMPLES if size is None else size for size in spec.shape]
    example = torch.zeros(shape, dtype=getattr(torch, spec.dtype))
    batch = torch.export.Dim("N", min=1, max=LARGEST_BATCH)
    try:
        with hushed():
            program = torch.export.export(
                copy.deepcopy(network).cpu(), (example,), dynamic_shapes=({0: batch},)
            )
    except FAILURES as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        where = place_of(network, spec)
        raise TargetError(f"torch cannot follow the network{where}: {reason}") from error
    followed = program.module(check_guards=False)
    _simplify(followed)
    graph = followed.graph
    (output,) = graph.find_nodes(op="output")
    if len(output.args[0]) != 1:
        raise TargetError(f"the network gives {len(output.args[0])} outputs", "give it one")
    output.args = (output.args[0][0],)
    graph.set_codegen(CodeGen())  # one tensor in, one out: no nesting to take apart
    return GraphModule(followed, graph)  # without an exported program's prohibitions


def constant(network: nn.Module, argument: object) -> Tensor | None:
    """Look up the parameter or buffer that an operation is given.

    Args:
        network: A captured network.
        argument: Of a node of its graph.

    Returns:
        The tensor; None where the argument is something else.
    """
    if not isinstance(argument, Node) or argument.op != "get_attr":
        return None
    found: Tensor = operator.attrgetter(str(argument.target))(network)
    return found


def only_user(node: Node) -> Node | None:
    """Find the one operation that uses a value.

    Args:
        node: What makes the value.

    Returns:
        The operation; None if there are several or none.
    """
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def is_clamp(node: Node) -> bool:
    """Say whether an operation is a ReLU with an upper end, such as ReLU6.

    Args:
        node: Of a captured network.

    Returns:
        Whether it is.
    """
    return node.target in RELU6 or (node.target in HARDTANH and node.args[1:2] == (0,))


def _simplify(network: GraphModule) -> None:
    graph = network.graph
    for node in list(graph.nodes):
        if node.target is aten._assert_tensor_metadata.default:
            graph.erase_node(node)
        elif node.target is NORM:
            _fold(network, node)
    for node in list(graph.nodes):
        user = only_user(node)
        if node.target in MAX_POOL and user is not None and user.target in RELU:
            _swap(node, user)
    graph.eliminate_dead_code()
    graph.lint()


def _fold(network: GraphModule, norm: Node) -> None:
    """Fold a norm into the layer before it, if that is all the layer is used for."""
    before = norm.args[0]
    pool = before if isinstance(before, Node) and before.target in MAX_POOL else None
    layer = pool.args[0] if pool else before
    if not isinstance(layer, Node) or layer.target not in LAYERS:
        return
    if layer.target is LINEAR and (pool or layer.meta["val"].dim() != 2):
        return  # the norm's channels are not the layer's outputs
    lonely = only_user(layer) is not None and only_user(pool or layer) is norm
    weights = constant(network, layer.args[1])
    scale, shift = _affine(network, norm)
    if weights is None or not lonely or (pool and not bool((scale > 0).all())):
        return
    bias = constant(network, layer.args[2]) if len(layer.args) > 2 else None
    name = f"folded_{layer.name}"
    folded = weights.double() * scale.view(-1, *[1] * (weights.dim() - 1))
    shifted = shift if bias is None else bias.double() * scale + shift
    arguments = [
        _add(network, layer, f"{name}_{role}", tensor)
        for role, tensor in (("weight", folded), ("bias", shifted))
    ]
    layer.args = (layer.args[0], *arguments, *layer.args[3:])
    norm.replace_all_uses_with(pool or layer)
    network.graph.erase_node(norm)


def _affine(network: nn.Module, norm: Node) -> tuple[Tensor, Tensor]:
    """Return the map that a norm has become: scale and shift (C,) in float64."""
    weight, bias, mean, variance = (constant(network, argument) for argument in norm.args[1:5])
    if mean is None or variance is None:
        raise TargetError(f"the norm {norm.name} has no running statistics", "train it with them")
    scale = (variance.detach().double() + cast(float, norm.args[7])).rsqrt()
    scale = scale if weight is None else scale * weight.detach().double()
    shift = -mean.detach().double() * scale
    return scale, shift if bias is None else shift + bias.detach().double()


def _add(network: GraphModule, place: Node, name: str, tensor: Tensor) -> Node:
    """Give the network a parameter, and its graph the node that reads it."""
    network.register_parameter(name, nn.Parameter(tensor.detach().float()))
    with network.graph.inserting_before(place):
        return network.graph.get_attr(name)


def _swap(pool: Node, relu: Node) -> None:
    """Let ReLU come before max pooling."""
    relu.replace_all_uses_with(pool)
    relu.args = (pool.args[0],)
    pool.args = (relu, *pool.args[1:])
    pool.prepend(relu)
