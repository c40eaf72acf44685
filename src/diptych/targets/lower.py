"""Lower a trained network to programs: exported once, then converted for each runtime.

Shapes: N batch, K classes, M calibration items.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from diptych.compression.grids import WEIGHT_LEVELS
from diptych.compression.quantize import QuantizedNetwork, quantization_aware
from diptych.core.errors import TargetError
from diptych.core.progress import Reporter, Step, silent
from diptych.core.specs import TensorSpec
from diptych.core.values import Precision
from diptych.targets import TARGETS, Choice, Method, Runtime, litert
from diptych.targets.calibration import check_calibration
from diptych.targets.guarding import Guard, quantize_guarded
from diptych.targets.nearest import quantize_nearest
from diptych.targets.onnx import OUTPUT_NAME, export
from diptych.targets.openvino import from_onnx, from_qdq
from diptych.targets.precisions import UNCALIBRATED
from diptych.targets.qdq import export_quantized

STAGE = "lowering"
SAME_FILES: dict[str, Runtime] = {
    "onnxruntime-cuda": "onnxruntime",
    "onnxruntime-tensorrt": "onnxruntime",
}


@dataclass(frozen=True, kw_only=True)
class LoweredProgram:
    """A program's files by name, in order; the first is the one to open.

    `in_float`, `passed_on` and `second_looks` are told by `Candidate`, of validation items.

    Input and output have a free batch axis; the output is logits, float32 (N, K).
    """

    name: str
    runtime: Runtime
    precision: Precision
    contents: dict[str, bytes]
    input: TensorSpec
    output: TensorSpec
    method: Method = "calibrated"
    in_float: tuple[str, ...] = ()
    passed_on: float | None = None
    second_looks: float | None = None


def lower(
    network: nn.Module,
    spec: TensorSpec,
    *,
    runtime: Runtime,
    precision: Precision,
    calibration: np.ndarray | None = None,
    name: str = "model",
) -> LoweredProgram:
    """Lower a network to one program.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits (N, K).
        spec: The input.
        runtime: What is to run it.
        precision: Of weights and activations.
        calibration: Raw inputs (M, ...) of the training split, M at least 16; for int8 only.
        name: What the program and its files are called.

    Returns:
        The program.
    """
    choice = (runtime, precision)
    if runtime == litert.RUNTIME:
        return _for_litert(network, spec, choice, calibration, name)
    return _program(export(network, spec), spec, choice, calibration, name)


def lower_all(
    network: nn.Module,
    spec: TensorSpec,
    choices: Sequence[Choice],
    calibration: np.ndarray | None = None,
    report: Reporter = silent,
    name: str = "model",
) -> list[LoweredProgram]:
    """Lower a network to several programs, exporting it to ONNX once, if at all.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits (N, K).
        spec: The input.
        choices: Runtimes and precisions, such as ``TARGETS["cpu"]``.
        calibration: Raw inputs (M, ...) of the training split, M at least 16; for int8 only.
        report: Told of each program.
        name: How every program's name begins.

    Returns:
        The programs, named ``NAME-RUNTIME-PRECISION``, in the order of `choices`; none for LiteRT
        beside other runtimes, if it cannot have the network.
    """
    total = len(choices) + 1
    report(Step(stage=STAGE, done=0, total=total, note="onnx"))
    exported = cache(lambda: export(network, spec))
    programs = []
    for done, choice in enumerate(choices, start=1):
        report(Step(stage=STAGE, done=done, total=total, note=" ".join(choice)))
        if choice[0] != litert.RUNTIME:
            programs.append(lower_exported(exported(), spec, choice, calibration, name))
            continue
        full_name = "-".join((name, *choice))
        with _left_out(len({runtime for runtime, _ in choices}) > 1, full_name, report):
            programs.append(_for_litert(network, spec, choice, calibration, full_name))
    report(Step(stage=STAGE, done=total, total=total))
    return programs


def lower_trained(
    network: QuantizedNetwork,
    spec: TensorSpec,
    runtimes: Sequence[Runtime],
    report: Reporter = silent,
    name: str = "model",
    calibration: np.ndarray | None = None,
) -> list[LoweredProgram]:
    """Lower a quantization-aware network to int8 programs with the scales that it learned.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits (N, K).
        spec: The input.
        runtimes: What is to run it.
        report: Told of each program.
        name: How every program's name begins.
        calibration: Raw inputs (M, ...) of the training split, M at least 16; for LiteRT only.

    Returns:
        The programs, named ``NAME-RUNTIME-int8-trained``, in the order of `runtimes`; none for
        LiteRT beside other runtimes, if it cannot have the network.
    """
    programs = []
    for done, runtime in enumerate(runtimes):
        report(Step(stage=STAGE, done=done, total=len(runtimes), note=f"{runtime} int8 trained"))
        full_name = f"{name}-{runtime}-int8-trained"
        if runtime == litert.RUNTIME:
            with _left_out(len(runtimes) > 1, full_name, report):
                made = litert.convert_rounded(network, spec, _given(calibration))
                programs.append(_of_litert(made, spec, (runtime, "int8"), full_name))
            continue
        model = export_quantized(network, spec, runtime)
        files = {"model.onnx": model} if runtime == "onnxruntime" else from_qdq(model)
        programs.append(_named(files, (runtime, "int8"), spec, _output(model), full_name))
    report(Step(stage=STAGE, done=len(runtimes), total=len(runtimes)))
    return [replace(program, method="trained") for program in programs]


@contextmanager
def _left_out(allowed: bool, name: str, report: Reporter) -> Iterator[None]:
    """Go on without a program that cannot be made, where that is allowed."""
    try:
        yield
    except TargetError as error:
        if not allowed:
            raise
        note = f"{name} is left out: {error.message}"
        report(Step(stage=STAGE, done=0, total=1, note=note))


def lower_guarded(
    network: nn.Module,
    spec: TensorSpec,
    calibration: np.ndarray,
    guard: Guard,
    name: str = "model",
) -> LoweredProgram | None:
    """Lower a network to an int8 program for ONNX Runtime that keeps what a guard asks for.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits (N, K).
        spec: The input.
        calibration: Raw inputs (M, ...) of the training split, M at least 16.
        guard: What to keep.
        name: How the program's name begins.

    Returns:
        The program, named ``NAME-onnxruntime-int8-guarded``; None if there is none to be had.
    """
    model = export(network, spec)
    found = quantize_guarded(model, calibration, guard)
    if found is None:
        return None
    files, full_name = {"model.onnx": found.content}, f"{name}-onnxruntime-int8-guarded"
    program = _named(files, ("onnxruntime", "int8"), spec, _output(model), full_name)
    return replace(program, method="guarded", in_float=found.in_float)


def lower_exported(
    model: bytes,
    spec: TensorSpec,
    choice: Choice,
    calibration: np.ndarray | None = None,
    name: str = "model",
) -> LoweredProgram:
    """Lower a network that is exported already.

    Args:
        model: An ONNX file in float, as `export` gives it.
        spec: The input.
        choice: The runtime and the precision.
        calibration: Raw inputs (M, ...) of the training split, M at least 16; for int8 only.
        name: How the program's name begins.

    Returns:
        The program, named ``NAME-RUNTIME-PRECISION``.
    """
    return _program(model, spec, choice, calibration, "-".join((name, *choice)))


def _program(
    model: bytes, spec: TensorSpec, choice: Choice, calibration: np.ndarray | None, name: str
) -> LoweredProgram:
    runtime, precision = choice
    files = _convert(model, (SAME_FILES.get(runtime, runtime), precision), calibration)
    return _named(files, choice, spec, _output(model), name)


def _for_litert(
    network: nn.Module,
    spec: TensorSpec,
    choice: Choice,
    calibration: np.ndarray | None,
    name: str,
) -> LoweredProgram:
    """Lower a network to LiteRT, which does not begin with ONNX."""
    litert.check(network)
    if choice[1] == "fp32":
        return _of_litert(litert.convert(network, spec), spec, choice, name)
    items = _given(calibration)
    check_calibration(items)
    rounded = quantization_aware(network, spec, items, levels=WEIGHT_LEVELS)
    made = litert.convert_rounded(rounded, spec, items)
    return _of_litert(made, spec, choice, name)


def _of_litert(
    made: litert.Converted, spec: TensorSpec, choice: Choice, name: str
) -> LoweredProgram:
    output = TensorSpec(name=OUTPUT_NAME, dtype="float32", shape=(None, made.outputs))
    program = _named({litert.FILE_NAME: made.content}, choice, spec, output, name)
    return replace(program, in_float=made.in_float)


def _named(
    files: dict[str, bytes], choice: Choice, spec: TensorSpec, output: TensorSpec, name: str
) -> LoweredProgram:
    """Call a program's files by its name."""
    runtime, precision = choice
    return LoweredProgram(
        name=name,
        runtime=runtime,
        precision=precision,
        contents={f"{name}{Path(file).suffix}": content for file, content in files.items()},
        input=spec,
        output=output,
    )


def _convert(model: bytes, choice: Choice, calibration: np.ndarray | None) -> dict[str, bytes]:
    if choice in UNCALIBRATED:
        return UNCALIBRATED[choice](model)
    match choice:
        case ("onnxruntime", "fp32"):
            return {"model.onnx": model}
        case ("openvino", "fp32"):
            return from_onnx(model)
        case ("onnxruntime" | "openvino", "int8"):
            return quantize_nearest(model, choice[0], _given(calibration))
        case _:
            raise TargetError(f"nothing lowers to {choice!r}", f"known: {TARGETS['cpu']}")


def _given(calibration: np.ndarray | None) -> np.ndarray:
    if calibration is None:
        raise TargetError("int8 needs calibration items", "give inputs of the training split")
    return calibration


def _output(model: bytes) -> TensorSpec:
    output = onnx.load_from_string(model).graph.output[0]
    tensor = output.type.tensor_type
    classes = tensor.shape.dim[-1].dim_value if len(tensor.shape.dim) == 2 else 0
    if tensor.elem_type != onnx.TensorProto.FLOAT or not classes:
        raise TargetError("the network's output is not logits (N, K) in float32")
    return TensorSpec(name=output.name, dtype="float32", shape=(None, classes))
