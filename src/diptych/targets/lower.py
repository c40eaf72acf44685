"""Lower a trained network to programs: exported once, then converted for each runtime.

Shapes: N batch, K classes, M calibration items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from diptych.core.errors import TargetError
from diptych.core.progress import Reporter, Step, silent
from diptych.core.specs import TensorSpec
from diptych.core.values import Precision
from diptych.targets import TARGETS, Choice, Runtime
from diptych.targets.onnx import export
from diptych.targets.openvino import from_onnx, quantize
from diptych.targets.quantization import quantize_onnx

STAGE = "lowering"


@dataclass(frozen=True, kw_only=True)
class LoweredProgram:
    """A program's files by name, in order; the first is the one to open.

    Input and output have a free batch axis; the output is logits, float32 (N, K).
    """

    name: str
    runtime: Runtime
    precision: Precision
    contents: dict[str, bytes]
    input: TensorSpec
    output: TensorSpec


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
    model = export(network, spec)
    return _program(model, spec, (runtime, precision), calibration, name)


def lower_all(
    network: nn.Module,
    spec: TensorSpec,
    choices: Sequence[Choice],
    calibration: np.ndarray | None = None,
    report: Reporter = silent,
    name: str = "model",
) -> list[LoweredProgram]:
    """Lower a network to several programs, exporting it once.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits (N, K).
        spec: The input.
        choices: Runtimes and precisions, such as ``TARGETS["cpu"]``.
        calibration: Raw inputs (M, ...) of the training split, M at least 16; for int8 only.
        report: Told of each program.
        name: How every program's name begins.

    Returns:
        The programs, named ``NAME-RUNTIME-PRECISION``, in the order of `choices`.
    """
    total = len(choices) + 1
    report(Step(stage=STAGE, done=0, total=total, note="onnx"))
    model = export(network, spec)
    programs = []
    for done, choice in enumerate(choices, start=1):
        full_name = "-".join((name, *choice))
        report(Step(stage=STAGE, done=done, total=total, note=" ".join(choice)))
        programs.append(_program(model, spec, choice, calibration, full_name))
    report(Step(stage=STAGE, done=total, total=total))
    return programs


def _program(
    model: bytes, spec: TensorSpec, choice: Choice, calibration: np.ndarray | None, name: str
) -> LoweredProgram:
    runtime, precision = choice
    files = _convert(model, choice, calibration)
    return LoweredProgram(
        name=name,
        runtime=runtime,
        precision=precision,
        contents={f"{name}{Path(file).suffix}": content for file, content in files.items()},
        input=spec,
        output=_output(model),
    )


def _convert(model: bytes, choice: Choice, calibration: np.ndarray | None) -> dict[str, bytes]:
    match choice:
        case ("onnxruntime", "fp32"):
            return {"model.onnx": model}
        case ("openvino", "fp32"):
            return from_onnx(model)
        case ("onnxruntime", "int8"):
            return {"model.onnx": quantize_onnx(model, _given(calibration))}
        case ("openvino", "int8"):
            return quantize(model, _given(calibration))
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
