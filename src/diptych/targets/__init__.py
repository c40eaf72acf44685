"""The joint: lower a trained model to a program for a kind of hardware, and check parity."""

from typing import Literal

from diptych.core.extras import installed
from diptych.core.values import Precision

Runtime = Literal["onnxruntime", "openvino", "litert", "onnxruntime-cuda", "onnxruntime-tensorrt"]
Method = Literal["calibrated", "guarded", "trained", "reserve"]
"""How int8 is had: scales from calibration items, the same with the most harmful layers left in
float, or scales learned in training. What is in `reserve`, in any precision, is lowered as always,
but only where int8 loses too much or is too large."""
LATER: tuple[Method, ...] = ("reserve", "guarded", "trained")
"""What is tried only after others."""
Choice = tuple[Runtime, Precision]

TARGETS: dict[str, tuple[Choice, ...]] = {
    "cpu": (
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
        ("openvino", "fp32"),
        ("openvino", "int8"),
    ),
    "cpu-portable": (("onnxruntime", "fp32"), ("onnxruntime", "int8")),
    "cuda": (("onnxruntime-cuda", "fp32"),),
    "tensorrt": (("onnxruntime-tensorrt", "fp32"),),
    "edge": (("litert", "fp32"), ("litert", "int8")),
}
ALSO_CALLED = {"gpu": "cuda"}
"""What people write for a target, and would be taken for another by its spelling."""
WELCOME: dict[str, tuple[Choice, ...]] = {"cpu": (("litert", "int8"),)}
"""What is tried too where all that it needs is installed; a network that it lacks an operation of
goes without."""
CONVERTERS = {"litert": ("litert_torch", "edge-export")}
"""The library that makes programs for a runtime and is not that of the runtime; its extra."""
ROUNDERS = {"openvino": ("nncf", "openvino")}
"""The same of what rounds a network that was not rounded in training, to those in `ROUNDED`."""
ROUNDED: frozenset[str] = frozenset(("int8", "int8-weights", "int4-weights"))
NATIVE, MOBILE = "torch", "mobile"
BESIDE = {NATIVE: "machine code", MOBILE: "files for apps"}
"""Targets of `export` alone: what they make is beside a bundle, which holds none of it."""

RESERVE: dict[str, tuple[Choice, ...]] = {
    "cpu": (
        ("openvino", "int8-weights"),
        ("openvino", "bf16"),
        ("onnxruntime", "fp16"),
        ("openvino", "int4-weights"),
        ("onnxruntime", "int4-weights"),
        ("openvino", "fp16"),
        ("onnxruntime", "int8-weights"),
    ),
    "cpu-portable": (("onnxruntime", "fp16"),),
}
"""What is tried where int8 does not do, most promising first (benchmarks/compression/)."""


def lacking(runtime: str, precision: str = "") -> tuple[str, str] | None:
    """Look for the library that makes a runtime's programs, without importing it.

    Args:
        runtime: Its name.
        precision: Of the programs; without it, what only some precisions need is not looked for.

    Returns:
        That library and the extra that brings it, where it is not installed; None where it is, or
        where none is needed but the runtime's own.
    """
    tables = (CONVERTERS, ROUNDERS) if precision in ROUNDED else (CONVERTERS,)
    needed = [table[runtime] for table in tables if runtime in table]
    return next((each for each in needed if not installed(each[0])), None)
