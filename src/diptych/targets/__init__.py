"""The joint: lower a trained model to a program for a kind of hardware, and check parity."""

from typing import Literal

Runtime = Literal["onnxruntime", "openvino"]
Method = Literal["calibrated", "guarded", "trained"]
"""How int8 is had: scales from calibration items, the same with the most harmful layers left in
float, or scales learned in training."""
Choice = tuple[Runtime, Literal["fp32", "int8"]]

TARGETS: dict[str, tuple[Choice, ...]] = {
    "cpu": (
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
        ("openvino", "fp32"),
        ("openvino", "int8"),
    ),
    "cpu-portable": (("onnxruntime", "fp32"), ("onnxruntime", "int8")),
}
