"""Lower an ONNX program for OpenVINO: its own two files, in every precision that it has.

The int8 defaults are measured: NNCF 3.4 with OpenVINO 2026.4 on an x86-64 CPU with AVX512-VNNI,
two networks of 78 and 117 thousand parameters, Fashion-MNIST, 512 calibration items, 10,000 test
items. Root mean square difference of logits to fp32, of the two networks:

- ranges from all extremes (chosen): 0.06 and 0.03; NNCF's own default, their mean: 0.16 and 0.26;
- with NNCF's bias correction on top: 0.14 and 0.13, so it is off;
- symmetric activations (preset PERFORMANCE): 0.07 and 0.03 at the same speed.

Shapes: M calibration items, H height, W width, C channels.
"""

import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from diptych.core.errors import TargetError
from diptych.core.extras import require
from diptych.inference.runtimes.telemetry import no_telemetry
from diptych.targets.calibration import check_calibration
from diptych.targets.ir import compact_ir, with_hint
from diptych.targets.quiet import quiet

EXTRA = "openvino"
GRAPH, WEIGHTS = "model.xml", "model.bin"
Graph = Any
"""An ``openvino.Model`` or one of its operations, which have no types."""
BLOCK = 32
LEAST_TABLE, LARGEST_INT8 = 4096, 127
WEIGHTED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")


def from_onnx(model: bytes, *, halves: bool = False, bf16: bool = False) -> dict[str, bytes]:
    """Convert a model as it is.

    Args:
        model: An ONNX file.
        halves: Keep weights in float16, from which float32 is made when the program is opened.
        bf16: Multiply in bfloat16, where the processor can; elsewhere in float32.

    Returns:
        The contents of ``model.xml`` and ``model.bin``, in this order.

    Raises:
        TargetError: If OpenVINO lacks an operation of the model.
    """
    openvino = library("openvino")
    try:
        with quiet():
            files = _save(openvino, _read(openvino, model), halves=halves)
    except RuntimeError as error:
        raise TargetError(*_reason("convert", error)) from error
    return files | {GRAPH: with_hint(files[GRAPH])} if bf16 else files


def from_qdq(model: bytes) -> dict[str, bytes]:
    """Convert a model that is quantized already: its scales stay.

    Args:
        model: An ONNX file in QDQ form, its biases in float.

    Returns:
        The contents of ``model.xml`` and ``model.bin``, in this order; weights take a byte each.

    Raises:
        TargetError: If OpenVINO lacks an operation of the model.
    """
    openvino = library("openvino")
    try:
        with quiet():
            read = require("diptych.inference.runtimes.openvino", EXTRA).core().read_model(model)
            passes = require("openvino._offline_transformations", EXTRA)
            passes.apply_moc_transformations(read, cf=False)  # which finds the pairs
            passes.compress_quantize_weights_transformation(read)
            return _save(openvino, read)
    except RuntimeError as error:
        raise TargetError(*_reason("convert", error)) from error


def quantize(model: bytes, calibration: np.ndarray, *, narrow: bool = False) -> dict[str, bytes]:
    """Convert a model to int8: weights per channel, activations per tensor, tables per row.

    Args:
        model: An ONNX file in float.
        calibration: Raw inputs, uint8 (M, H, W, C), M at least 16, from the training split.
        narrow: Give all weights 7 bits, not only those of first convolutions.

    Returns:
        The contents of ``model.xml`` and ``model.bin``, in this order; weights take a byte each.

    Raises:
        TargetError: If there are too few items, or the model cannot be quantized.
    """
    check_calibration(calibration)
    openvino, nncf = library("openvino"), library("nncf")
    ranges = require("nncf.quantization.range_estimator", EXTRA).RangeEstimatorParametersSet
    fix = nncf.OverflowFix
    try:
        with quiet():
            read = _read(openvino, model)
            quantized = nncf.quantize(
                read,
                nncf.Dataset([calibration[i : i + 1].copy() for i in range(len(calibration))]),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(calibration),
                ignored_scope=nncf.IgnoredScope(names=_preparation(read), validate=False),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    activations_range_estimator_params=ranges.MINMAX,
                    disable_bias_correction=True,
                    overflow_fix=fix.ENABLE if narrow else fix.FIRST_LAYER,
                ),
            )
            _round_tables(openvino, quantized)
            return _save(openvino, quantized)
    except (RuntimeError, nncf.ValidationError, nncf.UnsupportedModelError) as error:
        raise TargetError(*_reason("quantize", error)) from error


def round_weights(model: bytes, bits: Literal[4, 8]) -> dict[str, bytes]:
    """Convert a model, the weights of its linear layers and tables rounded, the rest in float.

    Args:
        model: An ONNX file in float.
        bits: Of each weight; with 4 each block of 32 has a scale of its own, with 8 each channel.

    Returns:
        The contents of ``model.xml`` and ``model.bin``, in this order.

    Raises:
        TargetError: If OpenVINO cannot round the weights.
    """
    openvino, nncf = library("openvino"), library("nncf")
    modes = nncf.CompressWeightsMode
    settings = {"group_size": BLOCK, "all_layers": True, "advanced_parameters": _adjusting(nncf)}
    try:
        with quiet():
            rounded = nncf.compress_weights(
                _read(openvino, model),
                mode=modes.INT4_ASYM if bits == 4 else modes.INT8_ASYM,
                **(settings if bits == 4 else {}),
            )
            return _save(openvino, rounded)
    except (RuntimeError, nncf.ValidationError, nncf.UnsupportedModelError) as error:
        raise TargetError(*_reason("round the weights of", error)) from error


def _adjusting(nncf: ModuleType) -> object:
    """Let layers whose width is no multiple of the block have smaller ones."""
    mode = require("nncf.quantization.advanced_parameters", EXTRA).GroupSizeFallbackMode.ADJUST
    return nncf.AdvancedCompressionParameters(group_size_fallback_mode=mode)


def library(name: str) -> ModuleType:
    """Import OpenVINO, or what makes its int8 programs.

    Args:
        name: ``"openvino"`` or ``"nncf"``.

    Returns:
        The library.

    Raises:
        MissingExtraError: If it is not installed.
    """
    with no_telemetry(), quiet():
        return require(name, EXTRA)


def _read(openvino: ModuleType, model: bytes) -> Graph:
    read = require("diptych.inference.runtimes.openvino", EXTRA).core().read_model(model)
    passes = require("openvino.passes", EXTRA)
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())  # the shapes of biases, among others
    manager.run_passes(read)
    return read


def _preparation(model: Graph) -> list[str]:
    """Name the operations that no layer with weights comes before."""
    after: set[str] = set()
    outside = []
    for node in model.get_ordered_ops():
        name, sources = node.get_friendly_name(), [port.get_node() for port in node.input_values()]
        if _has_weights(node, sources) or after.intersection(
            s.get_friendly_name() for s in sources
        ):
            after.add(name)
        elif node.get_type_name() not in {"Constant", "Parameter"}:
            outside.append(name)
    return outside


def _round_tables(openvino: ModuleType, model: Graph) -> None:
    """Store tables that are looked up in 8 bits, which NNCF does not; narrow rows share a scale."""
    ops = require("openvino.opset13", EXTRA)
    for node in model.get_ordered_ops():
        table = node.input_value(0).get_node() if node.get_type_name() == "Gather" else None
        if table is None or table.get_type_name() != "Constant":
            continue
        numbers = table.get_data()
        if numbers.dtype != np.float32 or numbers.ndim != 2 or numbers.size < LEAST_TABLE:
            continue
        axis = 1 if numbers.shape[1] >= BLOCK else None
        scale = np.abs(numbers).max(axis, keepdims=True) / LARGEST_INT8
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        levels = ops.constant(np.rint(numbers / scale).astype(np.int8))
        rounded = ops.multiply(ops.convert(levels, np.float32), ops.constant(scale))
        node.input(0).replace_source_output(rounded.output(0))


def _has_weights(node: Graph, sources: list[Graph]) -> bool:
    return node.get_type_name() in WEIGHTED and sources[1].get_type_name() == "Constant"


def _save(openvino: ModuleType, model: object, *, halves: bool = False) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="diptych-") as folder:
        graph, weights = Path(folder) / GRAPH, Path(folder) / WEIGHTS
        openvino.save_model(model, graph, compress_to_fp16=halves)
        return {GRAPH: compact_ir(graph.read_bytes()), WEIGHTS: weights.read_bytes()}


def _reason(verb: str, error: Exception) -> tuple[str, str]:
    reason = str(error).strip().splitlines()[-1]
    return f"OpenVINO cannot {verb} the network: {reason}", "use ONNX Runtime for it"
