"""ONNX Runtime on the CPU: the runtime of the base install.

The model is handed over as bytes that were seen to hold every tensor, so no other file is opened.
Shapes: N batch, K classes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

from diptych.core.errors import BundleError
from diptych.inference.runtimes import CLOSED
from diptych.inference.runtimes.onnx_wire import refuse_external_data

SEVERITY_FATAL = 4
TYPES = tuple(f"tensor({name})" for name in ("uint8", "int16", "int32", "int64", "float"))
OUTPUT_TYPE = "tensor(float)"
ERRORS: tuple[type[Exception], ...] = (RuntimeError, ValueError, MemoryError)
ERRORS += tuple(
    kind for kind in vars(native).values() if isinstance(kind, type) and issubclass(kind, Exception)
)


class OnnxRuntimeSession:
    """A program in ONNX Runtime; calls from several threads run side by side.

    Args:
        session: The opened session, with one input and one output.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self._input = session.get_inputs()[0].name
        self._outputs = [session.get_outputs()[0].name]

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the program.

        Args:
            batch: Raw inputs (N, ...).

        Returns:
            Outputs, float32 (N, K).

        Raises:
            BundleError: If the program fails on this batch, or was closed.
        """
        session = self._session  # which lasts, whoever closes it meanwhile
        if session is None:
            raise BundleError(*CLOSED)
        try:
            logits: np.ndarray = session.run(self._outputs, {self._input: batch})[0]
        except ERRORS as error:
            raise BundleError(f"ONNX Runtime cannot run the program: {error}") from error
        return logits

    def close(self) -> None:
        """Free the program."""
        self._session = None


def open_session(paths: Sequence[Path], threads: int) -> OnnxRuntimeSession:
    """Open an ONNX model.

    Args:
        paths: The model's one file.
        threads: Threads inside an operator, at least 1.

    Returns:
        The session.
    """
    return OnnxRuntimeSession(create(paths[0], options(threads), ["CPUExecutionProvider"]))


def create(
    path: Path, chosen: onnxruntime.SessionOptions, providers: Sequence[object]
) -> onnxruntime.InferenceSession:
    """Open an ONNX model where it is to be computed.

    Args:
        path: The model.
        chosen: Options, as :func:`options` gives them.
        providers: Who computes, the first where they can.

    Returns:
        ONNX Runtime's session.

    Raises:
        BundleError: If the model is malformed, needs other files, has another signature, or cannot
            be loaded.
    """
    data = path.read_bytes()
    refuse_external_data(data)
    onnxruntime.disable_telemetry_events()
    try:
        session = onnxruntime.InferenceSession(data, chosen, providers=providers)
    except ERRORS as error:
        raise BundleError(
            f"ONNX Runtime cannot load {path.name}: {error}", "make the bundle again"
        ) from error
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
        raise BundleError(f"{path.name} must have one input and one output")
    if session.get_inputs()[0].type not in TYPES:
        raise BundleError(f"{path.name} must take one of {', '.join(TYPES)}")
    if session.get_outputs()[0].type != OUTPUT_TYPE:
        raise BundleError(f"{path.name} must give float32")
    return session


def options(threads: int) -> onnxruntime.SessionOptions:
    """Choose how ONNX Runtime works.

    Args:
        threads: Threads inside an operator, at least 1.

    Returns:
        The options, which say nothing of where it computes.
    """
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = 1
    chosen.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    chosen.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    chosen.log_severity_level = SEVERITY_FATAL
    chosen.add_session_config_entry("session.load_model_format", "ONNX")
    if threads == 1:
        chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return chosen
