"""Round only the weights of linear layers and tables, in blocks, for ONNX Runtime.

Activations stay in float, so nothing is calibrated. A block of 32 numbers that a product sums up,
or of a row of a table, has a scale and a zero of its own. Kernels take the weights as they are
stored, a half or one byte each.

Measured on a transformer of 4.7 million parameters (ONNX Runtime 1.32, AVX512-VNNI): products that
round their other side to 8 bits too (chosen) take 1.0 (4 bits) and 0.9 (8 bits) of the time of
fp32, those that do not 1.3 and 7.3, with logits as far off in 4 bits. Blocks of 16, 32 and 64 in 4
bits: off by 0.9, 1.1 and 1.3 % of the range (root mean square); narrower ranges that lessen the
error of weights: no nearer.

Shapes: K numbers in, N numbers out, G numbers of a block, B blocks, R rows of a table.

Source: ONNX Runtime's operators MatMulNBits and GatherBlockQuantized, as its document of operators
that were contributed describes them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from diptych.core.errors import TargetError
from diptych.targets.compact import compact

Bits = Literal[4, 8]
BLOCK = 32
LEAST_NUMBERS = 4096
DOMAIN = "com.microsoft"
COMPUTE_INT8 = 4
"""The level of accuracy at which the product's other side is rounded to 8 bits too."""


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Rounded numbers: `levels` uint8 (N, B, G), `scales` float32 (N, B), `zeros` uint8 (N, B)."""

    levels: np.ndarray
    scales: np.ndarray
    zeros: np.ndarray


def linear_weights(model: bytes) -> int:
    """Count the weights of linear layers and tables that can be rounded alone.

    Args:
        model: An ONNX file in float.

    Returns:
        How many numbers there are; not those of narrow rows, whose scales would outweigh them.
    """
    graph = onnx.load_from_string(model).graph
    return sum(math.prod(w.dims) for node, w in _weighted(graph) if _is_worth_it(node, w, 8))


def round_weights(model: bytes, bits: Bits) -> bytes:
    """Round the weights of linear layers and tables.

    Args:
        model: An ONNX file in float.
        bits: Of each weight.

    Returns:
        An ONNX file of the same inputs and outputs; the same bytes for the same arguments.

    Raises:
        TargetError: If there are no such weights.
    """
    rounded = onnx.load_from_string(model)
    graph = rounded.graph
    found = [(node, w) for node, w in _weighted(graph) if _is_worth_it(node, w, bits)]
    if not found:
        raise TargetError(
            "the network has no linear layer or table whose weights could be rounded alone"
        )
    for number, (node, weights) in enumerate(found):
        _rewrite(graph, node, numpy_helper.to_array(weights), bits, f"rounded{number}")
    _add_domain(rounded)
    return compact(rounded)


def round_blocks(numbers: np.ndarray, bits: Bits) -> Blocks:
    """Round numbers in blocks.

    Args:
        numbers: float32 (N, K).
        bits: Of each number.

    Returns:
        The blocks, the last of each row filled up with zeros.
    """
    rows, width = numbers.shape
    count = -(-width // BLOCK)
    padded = np.zeros((rows, count * BLOCK), np.float32)
    padded[:, :width] = numbers
    blocks = padded.reshape(rows, count, BLOCK)
    top = 2**bits - 1
    low, high = np.minimum(blocks.min(2), 0), np.maximum(blocks.max(2), 0)
    scales = ((high - low) / top).astype(np.float32)
    steps = np.where(scales > 0, scales, 1).astype(np.float32)
    zeros = np.rint(-low / steps).clip(0, top)
    levels = np.rint(blocks / steps[:, :, None] + zeros[:, :, None]).clip(0, top)
    return Blocks(levels=levels.astype(np.uint8), scales=steps, zeros=zeros.astype(np.uint8))


def _weighted(graph: GraphProto) -> Iterator[tuple[NodeProto, TensorProto]]:
    """Pair linear layers and tables with their weights, each a matrix in float32."""
    held = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    for node in graph.node:
        weights = held.get(node.input[_place(node)]) if _can_be_rounded(node) else None
        if weights is not None and len(weights.dims) == 2:
            yield node, weights


def _is_worth_it(node: NodeProto, weights: TensorProto, bits: Bits) -> bool:
    """Say whether weights fill blocks; half a byte would be left over in rows of an odd width."""
    is_table = node.op_type == "Gather"
    width = weights.dims[1 if is_table or _is_transposed(node) else 0]
    halved = is_table and bits == 4 and width % 2
    return width >= BLOCK and math.prod(weights.dims) >= LEAST_NUMBERS and not halved


def _is_transposed(node: NodeProto) -> bool:
    return any(a.name == "transB" and a.i for a in node.attribute)


def _place(node: NodeProto) -> int:
    return 0 if node.op_type == "Gather" else 1


def _can_be_rounded(node: NodeProto) -> bool:
    settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    match node.op_type:
        case "MatMul":
            return True
        case "Gather":
            return not settings.get("axis", 0)
        case "Gemm":
            factors = {settings.get("alpha", 1.0), settings.get("beta", 1.0)}
            return factors == {1.0} and not settings.get("transA", 0)
        case _:
            return False


def _rewrite(
    graph: GraphProto, node: NodeProto, weights: np.ndarray, bits: Bits, name: str
) -> None:
    """Let a node compute with rounded weights."""
    rows = weights if node.op_type == "Gather" or _is_transposed(node) else weights.T
    blocks = round_blocks(rows, bits)
    if node.op_type == "Gather":
        rewritten, constants = _table(node, blocks, rows.shape[1], bits, name)
    else:
        rewritten, constants = _product(node, blocks, rows.shape[1], bits, name)
    node.CopyFrom(rewritten)
    graph.initializer.extend(constants)


def _product(
    node: NodeProto, blocks: Blocks, width: int, bits: Bits, name: str
) -> tuple[NodeProto, list[TensorProto]]:
    constants = [
        numpy_helper.from_array(_packed(blocks.levels, bits), f"{name}_levels"),
        numpy_helper.from_array(blocks.scales, f"{name}_scales"),
        numpy_helper.from_array(_packed(blocks.zeros, bits), f"{name}_zeros"),
    ]
    bias = ["", *node.input[2:3]] if len(node.input) > 2 else []
    made = onnx.helper.make_node(
        "MatMulNBits",
        [node.input[0], *(tensor.name for tensor in constants), *bias],
        list(node.output),
        domain=DOMAIN,
        K=width,
        N=len(blocks.scales),
        bits=bits,
        block_size=BLOCK,
        accuracy_level=COMPUTE_INT8,
    )
    return made, constants


def _table(
    node: NodeProto, blocks: Blocks, width: int, bits: Bits, name: str
) -> tuple[NodeProto, list[TensorProto]]:
    levels = blocks.levels.reshape(len(blocks.levels), -1)[:, :width]
    constants = [
        numpy_helper.from_array(_packed(levels, bits), f"{name}_levels"),
        numpy_helper.from_array(blocks.scales, f"{name}_scales"),
        numpy_helper.from_array(_packed(blocks.zeros, bits), f"{name}_zeros"),
    ]
    made = onnx.helper.make_node(
        "GatherBlockQuantized",
        [constants[0].name, node.input[1], *(tensor.name for tensor in constants[1:])],
        list(node.output),
        domain=DOMAIN,
        gather_axis=0,
        quantize_axis=1,
        block_size=BLOCK,
        bits=bits,
    )
    return made, constants


def _packed(levels: np.ndarray, bits: Bits) -> np.ndarray:
    """Put two numbers of 4 bits into each byte, the first in its lower half."""
    if bits == 8:
        return levels
    if levels.shape[-1] % 2:
        filling = [(0, 0)] * (levels.ndim - 1) + [(0, 1)]
        levels = np.pad(levels, filling)
    packed: np.ndarray = levels[..., 0::2] | (levels[..., 1::2] << 4)
    return packed


def _add_domain(model: ModelProto) -> None:
    if all(each.domain != DOMAIN for each in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
