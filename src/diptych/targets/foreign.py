"""An ONNX file that was made elsewhere, brought to take raw pictures and to give logits.

Where its axes are follows from its shape; how it wants pixels scaled no file says, so a scaling is
put in front of it, and several can be tried. A softmax at the end is taken off, and a batch axis
that was written down as 1 is freed.

Shapes: N batch, H height, W width, C channels, K outputs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from diptych.core.errors import BundleError, TargetError
from diptych.core.specs import ImageSpec
from diptych.core.text import size
from diptych.inference.runtimes.onnx_wire import MALFORMED, refuse_external_data
from diptych.targets.compact import compact
from diptych.targets.outputs import choose_output
from diptych.training.models.given import Scaling

MOST_BYTES = 1 << 30
AXES = 4
INPUT, OUTPUT = "pixels", "logits"
FREE = "N"
SHAPING = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze"}
TYPES = {TensorProto.FLOAT: "float32", TensorProto.UINT8: "uint8"}
EXPORT = "export it with one input of pictures in float32 or uint8, and one output of scores"


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A model as it was read: where its channels are, its size in pixels, None where any does.

    `outputs` is K; `dtype` is what it takes.
    """

    name: str
    model: ModelProto
    channels: int
    channels_first: bool
    height: int | None
    width: int | None
    outputs: int
    dtype: str


def read_foreign(path: Path, output: str | None = None) -> Foreign:
    """Read an ONNX file of a classifier of pictures.

    Args:
        path: The file, with its weights inside.
        output: Which of several outputs are the scores.

    Returns:
        The model, not yet run.

    Raises:
        TargetError: If it is too large, damaged, keeps weights elsewhere, or takes and gives
            something else.
    """
    data = _bytes_of(path)
    try:
        refuse_external_data(data)
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
    except BundleError as error:
        hint = "export it again" if error.hint == MALFORMED else error.hint
        raise TargetError(f"{path}: {error.message}", hint) from error
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TargetError(f"{path} is no sound ONNX file: {reason}", "export it again") from error
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    _check_one(path, [value.name for value in inputs])
    choose_output(graph, path, output)
    shape, dtype = _shape(inputs[0]), inputs[0].type.tensor_type.elem_type
    if len(shape) != AXES or dtype not in TYPES:
        kind = TensorProto.DataType.Name(dtype)
        raise TargetError(f"{path} takes {_written(shape)} of {kind}, no batch of pictures", EXPORT)
    found = _shape(graph.output[0])
    if len(found) != 2 or not found[1]:
        raise TargetError(f"{path} gives {_written(found)}, no scores (N, K)", EXPORT)
    first = shape[1] in {1, 3}
    sides = shape[2:] if first else shape[1:3]
    channels = shape[1] if first else shape[3]
    if channels not in {1, 3}:
        raise TargetError(f"{path} takes {_written(shape)}: no axis has 1 or 3 channels", EXPORT)
    return Foreign(
        name=path.name,
        model=model,
        channels=channels,
        channels_first=first,
        height=sides[0],
        width=sides[1],
        outputs=found[1],
        dtype=TYPES[dtype],
    )


def adopt(foreign: Foreign, spec: ImageSpec, scaling: Scaling) -> bytes:
    """Make a program that takes what our programs take.

    Args:
        foreign: The model.
        spec: The pictures that it is to take.
        scaling: How it wants pixels; of a model that takes bytes, without effect.

    Returns:
        An ONNX file: uint8 (N, H, W, C) in, float32 (N, K) out.

    Raises:
        TargetError: If it takes other pictures.
    """
    _check_pictures(foreign, spec)
    model = ModelProto()
    model.CopyFrom(foreign.model)
    graph = model.graph
    _rename(graph, _clashes(graph))
    constants = {tensor.name for tensor in graph.initializer}
    entry = next(value for value in graph.input if value.name not in constants)
    _take_softmax_off(graph)
    if _shape(entry)[0] == 1:
        _free_batch(graph)
    _rename(graph, {graph.output[0].name: OUTPUT})
    before, needed = _preparing(foreign, scaling, entry.name)
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(needed)
    del graph.input[:]
    sides = [FREE, spec.height, spec.width, spec.channels]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, sides))
    del graph.output[:]
    shape = [FREE, foreign.outputs]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape))
    return compact(model)


def count_flops(program: bytes) -> int:
    """Count the floating-point operations of one prediction.

    Args:
        program: An ONNX file from :func:`adopt`.

    Returns:
        FLOPs of its convolutions and products of matrices, a multiply-add counted as two.
    """
    model = onnx.load_from_string(program)
    helper_input = model.graph.input[0].type.tensor_type.shape
    helper_input.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    shapes = {value.name: _shape(value) for value in values}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    return sum(_flops_of(node, shapes) for node in inferred.node)


def count_parameters(program: bytes) -> int:
    """Count the weights of a program.

    Args:
        program: An ONNX file.

    Returns:
        The numbers in its float constants.
    """
    tensors = onnx.load_from_string(program).graph.initializer
    floats = [tensor for tensor in tensors if tensor.data_type == TensorProto.FLOAT]
    return sum(math.prod(tensor.dims) for tensor in floats)


def _bytes_of(path: Path) -> bytes:
    if not path.is_file():
        raise TargetError(f"there is no file {path}", "give an ONNX file")
    if path.stat().st_size > MOST_BYTES:
        raise TargetError(f"{path} is larger than {size(MOST_BYTES)}", "give a smaller model")
    return path.read_bytes()


def _check_one(path: Path, names: list[str]) -> None:
    if len(names) != 1:
        told = ", ".join(names[:3]) or "nothing"
        raise TargetError(f"{path} takes {len(names)} tensors ({told}), not one", EXPORT)


def _check_pictures(foreign: Foreign, spec: ImageSpec) -> None:
    if foreign.channels != spec.channels:
        raise TargetError(
            f"{foreign.name} takes {foreign.channels} channels, and the data has {spec.channels}",
            "give data of the kind that the model was trained on",
        )
    wanted = (foreign.height or spec.height, foreign.width or spec.width)
    if wanted != (spec.height, spec.width):
        raise TargetError(
            f"{foreign.name} takes {wanted[0]} x {wanted[1]} pixels, and the data is prepared at "
            f"{spec.height} x {spec.width}",
            f"give --image-size {wanted[0]}",
        )


def _preparing(
    foreign: Foreign, scaling: Scaling, entry: str
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return the steps from raw pixels to what the model takes, and their constants."""
    nodes, tensors, last = [], [], INPUT
    if foreign.dtype == "float32":
        shape = (1, 1, 1, foreign.channels)
        for role, values in (("mean", scaling.mean), ("deviation", scaling.deviation)):
            array = np.broadcast_to(np.asarray(values, np.float32), foreign.channels).reshape(shape)
            tensors.append(numpy_helper.from_array(array, f"{INPUT}.{role}"))
        nodes = [
            helper.make_node("Cast", [INPUT], [f"{INPUT}.float"], to=TensorProto.FLOAT),
            helper.make_node("Sub", [f"{INPUT}.float", f"{INPUT}.mean"], [f"{INPUT}.centered"]),
            helper.make_node(
                "Div", [f"{INPUT}.centered", f"{INPUT}.deviation"], [f"{INPUT}.scaled"]
            ),
        ]
        last = f"{INPUT}.scaled"
    if foreign.channels_first:
        nodes.append(helper.make_node("Transpose", [last], [entry], perm=[0, 3, 1, 2]))
    else:
        nodes.append(helper.make_node("Identity", [last], [entry]))
    return nodes, tensors


def _take_softmax_off(graph: GraphProto) -> None:
    """Let the scores before a final softmax be the output: its logarithm but for a constant."""
    makers = {name: node for node in graph.node for name in node.output}
    maker = makers.get(graph.output[0].name)
    while maker is not None and maker.op_type in SHAPING:
        maker = makers.get(maker.input[0])
    if maker is not None and maker.op_type == "Softmax":
        scores = {maker.output[0]: maker.input[0]}
        graph.node.remove(maker)
        _rename(graph, scores)


def _free_batch(graph: GraphProto) -> None:
    """Let shapes that begin with a batch of 1 begin with whatever comes in."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    written = [node for node in graph.node if node.op_type == "Constant"]
    constants |= {
        n.output[0]: each.t for n in written for each in n.attribute if each.HasField("t")
    }
    reshaping = [n for n in graph.node if n.op_type == "Reshape" and len(n.input) == 2]
    for node in reshaping:
        shape = constants.get(node.input[1])
        if shape is None or node.input[0] in constants:
            continue
        sides = numpy_helper.to_array(shape).copy()
        if len(sides) and sides[0] == 1:
            sides[0] = 0  # as the input has it, where 0 may not be a size
            for attribute in [each for each in node.attribute if each.name == "allowzero"]:
                node.attribute.remove(attribute)
            name = f"{node.output[0]}.shape"
            graph.initializer.append(numpy_helper.from_array(sides, name))
            node.input[1] = name


def _clashes(graph: GraphProto) -> dict[str, str]:
    """Give other names to values that are called as ours."""
    values = {name for node in graph.node for name in (*node.input, *node.output)}
    ours = {name for name in values if name == OUTPUT or name.startswith(INPUT)}
    return {name: f"theirs.{name}" for name in ours}


def _rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for values in (node.input, node.output):
            for index, name in enumerate(values):
                values[index] = names.get(name, name)


def _flops_of(node: NodeProto, shapes: Mapping[str, tuple[int | None, ...]]) -> int:
    if node.op_type not in {"Conv", "Gemm", "MatMul"}:
        return 0
    made, weights = shapes.get(node.output[0], ()), shapes.get(node.input[1], ())
    outputs = math.prod(side or 1 for side in made)
    if node.op_type == "Conv":
        return 2 * outputs * math.prod(side or 1 for side in weights[1:])
    inner = shapes.get(node.input[0], ())
    return 2 * outputs * ((inner[-1] if inner else 1) or 1)


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    return tuple(dim.dim_value or None for dim in value.type.tensor_type.shape.dim)


def _written(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join(str(side or "any") for side in shape) + ")"
