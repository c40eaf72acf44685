"""Lower a network for LiteRT: in fp32 as it is, or with its layers in int8.

A program takes one input at a time, and is run once to see that LiteRT can.

Shapes: N batch, M calibration items, K outputs.
"""

import re
import tempfile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from diptych.compression.failing_layer import place_of
from diptych.compression.quantize import QuantizedNetwork
from diptych.core.errors import TargetError
from diptych.core.extras import require
from diptych.core.silence import silent_stderr
from diptych.core.specs import TensorSpec
from diptych.targets import CONVERTERS
from diptych.targets.adopted import AdoptedNetwork
from diptych.targets.lean import lean
from diptych.targets.ordered import ordered
from diptych.targets.parity import is_faithful
from diptych.targets.quiet import quiet
from diptych.targets.rounding import Written, write_rounding
from diptych.targets.running import answers

RUNTIME = "litert"
LIBRARY, EXTRA = CONVERTERS[RUNTIME]
FILE_NAME = "model.tflite"
CHECKED = 64
UNKNOWN_OPERATION = re.compile(
    r"aten\.(?P<torch>\w+)|TF Select ops: (?P<flow>\w+)|builtin opcode '(?P<lite>\w+)'"
)
CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Converted(NamedTuple):
    """A ``.tflite`` file, its number of outputs K, and what it computes in float."""

    content: bytes
    outputs: int
    in_float: tuple[str, ...] = ()


def check(network: nn.Module) -> None:
    """Check that a network is one of torch.

    Args:
        network: The network.

    Raises:
        TargetError: If it is an ONNX file.
    """
    if isinstance(network, AdoptedNetwork):
        raise TargetError(
            "an ONNX file cannot be lowered to LiteRT",
            "use --target cpu, or give the torch.nn.Module that it was made of",
        )


def convert(network: nn.Module, spec: TensorSpec) -> Converted:
    """Convert a network as it is, and see that it runs.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits (N, K).
        spec: The input.

    Returns:
        A program in fp32, or in int8 where the network's numbers are rounded.

    Raises:
        TargetError: If LiteRT lacks an operation of the network, which is named with its layer, or
            the network does not give logits.
    """
    library = converter()
    shape = [1 if size is None else size for size in spec.shape]
    example = torch.zeros(shape, dtype=getattr(torch, spec.dtype))
    config = _rounded_already() if isinstance(network, Written) else None
    with tempfile.TemporaryDirectory(prefix="diptych-") as folder:
        path = Path(folder) / FILE_NAME
        try:
            with quiet(), silent_stderr(), torch.no_grad():
                made = library.convert(ordered(network), (example,), quant_config=config)
                made.export(str(path))
            content = lean(path.read_bytes())
            outputs = answers(RUNTIME, {FILE_NAME: content}, example.numpy())
        except Exception as error:  # its libraries have no root of errors
            raise TargetError(*_reason(error, network, spec)) from error
    if outputs.ndim != 2:
        raise TargetError("the network's output is not logits (N, K) in float32")
    return Converted(content, outputs.shape[1])


def convert_rounded(
    network: QuantizedNetwork, spec: TensorSpec, calibration: np.ndarray
) -> Converted:
    """Convert a quantization-aware network to an int8 program with its scales.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits (N, K).
        spec: The input.
        calibration: Raw inputs (M, ...) of the training split, which show the range of what the
            last layer gives.

    Returns:
        The program.

    Raises:
        TargetError: If LiteRT lacks an operation, or what it makes computes something else.
    """
    written, reference = write_rounding(network, calibration)
    made = convert(written, spec)
    found = answers(RUNTIME, {FILE_NAME: made.content}, calibration[:CHECKED])
    if not is_faithful(reference[:CHECKED], found):
        raise TargetError("LiteRT computes something else in int8 than was rounded", "use fp32")
    return made._replace(in_float=kinds_in_float(made.content))


def kinds_in_float(content: bytes) -> tuple[str, ...]:
    """Name the kinds of steps that a program computes in float.

    Args:
        content: Of a ``.tflite`` file.

    Returns:
        LiteRT's names, such as ``SOFTMAX``, sorted; without those that only change a type.
    """
    schema = require("ai_edge_litert.schema_py_generated", "edge")
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromPackedBuf(content)
    (graph,) = model.subgraphs
    found = set()
    for step in graph.operators:
        kind = names[model.operatorCodes[step.opcodeIndex].builtinCode]
        types = {graph.tensors[i].type for i in step.outputs}
        if schema.TensorType.FLOAT32 in types and kind not in {"DEQUANTIZE", "CAST"}:
            found.add(kind)
    return tuple(sorted(found))


def converter() -> ModuleType:
    """Import LiteRT's converter.

    Returns:
        The library.

    Raises:
        MissingExtraError: If it is not installed.
    """
    with quiet(), silent_stderr():
        return require(LIBRARY, EXTRA)


def _rounded_already() -> object:
    """Say that scales are in the network."""
    pt2e = require("litert_torch.quantize.pt2e_quantizer", EXTRA)
    settings = pt2e.get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False)
    config = require("litert_torch.quantize.quant_config", EXTRA)
    chosen: object = config.QuantConfig(pt2e_quantizer=pt2e.PT2EQuantizer().set_global(settings))
    return chosen


def _reason(error: Exception, network: nn.Module, spec: TensorSpec) -> tuple[str, str]:
    text = str(error).strip() or type(error).__name__
    found = UNKNOWN_OPERATION.search(text)
    if not found:
        where = "" if isinstance(network, Written) else place_of(network, spec)
        reason = f"LiteRT cannot convert the network{where}: {text.splitlines()[0]}"
        return reason, "use another target"
    name = next(filter(None, found.groups()))
    torchs = CAPITAL.sub("_", name.removeprefix("STABLEHLO_")).lower()
    where = "" if isinstance(network, Written) else place_of(network, spec, f"aten.{torchs}")
    message = f"the network's operation {name!r}{where} cannot be lowered to LiteRT"
    return message, "replace it by operations that LiteRT has"
