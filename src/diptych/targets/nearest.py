"""Quantize an ONNX program after training, as is nearest to float on the processor at hand.

x86-64 processors without VNNI multiply levels of inputs (up to 255) and of weights (up to 127) and
add the products up two by two in 16 bits; sums that do not fit are cut. With 7 bits of weights all
fit. First layers (in OpenVINO first convolutions) never have more, for their inputs, such as
pixels, may be large all at once; whether others lose more by a bit less or by what is cut depends
on the network, so it is tried.
Measured by `benchmarks/compression/cut_sums.py`; docs/quantization.md.

Shapes: M calibration items.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from diptych.core.manifest import Machine
from diptych.measure.machine import cuts_sums, describe
from diptych.targets import Runtime, openvino
from diptych.targets.quantization import quantize_onnx
from diptych.targets.running import answers

Files = dict[str, bytes]
COMPARED = 128


def quantize_nearest(
    model: bytes, runtime: Runtime, calibration: np.ndarray, machine: Machine | None = None
) -> Files:
    """Quantize a program for a runtime.

    Args:
        model: An ONNX file in float, its norms folded.
        runtime: ``onnxruntime`` or ``openvino``.
        calibration: Raw inputs (M, ...) of the training split, M at least 16.
        machine: This one by default.

    Returns:
        Files by name. Where sums are cut, all weights have 7 bits if that keeps the outputs for
        calibration items nearer to those in float.

    Raises:
        TargetError: If there are too few items, or the program cannot be quantized.
    """
    make = partial(QUANTIZERS[runtime], model, calibration)
    return nearer(make, model, runtime, calibration, machine)[1]


def nearer(
    make: Callable[..., Files],
    model: bytes,
    runtime: Runtime,
    calibration: np.ndarray,
    machine: Machine | None = None,
) -> tuple[bool, Files]:
    """Say in how many bits weights are to be, and make the program.

    Args:
        make: Makes it, told by `narrow` whether all weights have 7 bits.
        model: An ONNX file in float, which it is made of.
        runtime: ``onnxruntime`` or ``openvino``.
        calibration: Raw inputs (M, ...) of the training split.
        machine: This one by default.

    Returns:
        Whether all weights have 7 bits, and files by name.
    """
    usual = make(narrow=False)
    if not cuts_sums(machine or describe()):
        return False, usual
    items = calibration[:COMPARED]
    in_float = answers("onnxruntime", {"model.onnx": model}, items)

    def far(made: tuple[bool, Files]) -> float:
        return float(np.square(answers(runtime, made[1], items) - in_float).mean())

    return min((False, usual), (True, make(narrow=True)), key=far)


def _for_onnx(model: bytes, calibration: np.ndarray, *, narrow: bool) -> Files:
    return {"model.onnx": quantize_onnx(model, calibration, narrow=narrow)}


QUANTIZERS: dict[str, Callable[..., Files]] = {
    "onnxruntime": _for_onnx,
    "openvino": openvino.quantize,
}
