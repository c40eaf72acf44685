"""The joint: lower a trained model to a program for a kind of hardware, and check parity."""

from typing import Literal

Runtime = Literal["onnxruntime", "openvino"]
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
