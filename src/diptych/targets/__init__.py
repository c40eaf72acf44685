"""The joint: lower a trained model to a program for a kind of hardware, and check parity."""

from typing import Literal

from diptych.core.values import Precision

Runtime = Literal["onnxruntime", "openvino"]
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
}

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
