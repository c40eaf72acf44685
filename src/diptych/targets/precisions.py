"""What an exported network is converted to without calibration, for each runtime and precision."""

from collections.abc import Callable

from diptych.core.values import Precision
from diptych.targets import Choice, openvino, weights_only
from diptych.targets.halves import store_halves

LARGE = 1_000_000
"""Numbers in linear layers and tables from which on rounding these alone is tried."""
WEIGHTS_ONLY: frozenset[Precision] = frozenset(("int8-weights", "int4-weights"))

UNCALIBRATED: dict[Choice, Callable[[bytes], dict[str, bytes]]] = {
    ("onnxruntime", "fp16"): lambda model: _onnx(store_halves(model)),
    ("openvino", "fp16"): lambda model: openvino.from_onnx(model, halves=True),
    ("openvino", "bf16"): lambda model: openvino.from_onnx(model, halves=True, bf16=True),
    ("onnxruntime", "int8-weights"): lambda model: _onnx(weights_only.round_weights(model, 8)),
    ("openvino", "int8-weights"): lambda model: openvino.round_weights(model, 8),
    ("onnxruntime", "int4-weights"): lambda model: _onnx(weights_only.round_weights(model, 4)),
    ("openvino", "int4-weights"): lambda model: openvino.round_weights(model, 4),
}
"""The files of a program by name, the one to open first, made of an ONNX file in float."""


def is_worthwhile(model: bytes, precision: Precision) -> bool:
    """Say whether a precision can save something that counts.

    Args:
        model: An ONNX file in float.
        precision: What is considered.

    Returns:
        False for rounding weights only where linear layers and tables have fewer than a million.
    """
    return precision not in WEIGHTS_ONLY or weights_only.linear_weights(model) >= LARGE


def _onnx(content: bytes) -> dict[str, bytes]:
    return {"model.onnx": content}
