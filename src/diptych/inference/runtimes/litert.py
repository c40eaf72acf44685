"""LiteRT on the CPU, with its XNNPACK: programs for phones and small devices.

A program takes one input, as on a device; those of a batch are run one after the other. Where it
takes or gives int8 in place of float32, as int8 programs do, the numbers are turned into levels
here, and back.
Shapes: N batch, K outputs.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from diptych.core.errors import BundleError
from diptych.core.silence import silent_stderr
from diptych.inference.runtimes import CLOSED

START, MAGIC = 4, b"TFL3"
LEVELS = (-128, 127)
TYPES = ("uint8", "int16", "int32", "int64", "float32")


class LiteRtSession:
    """A program in LiteRT; calls from several threads wait for each other.

    Args:
        interpreter: The opened program, with one input and one output.
    """

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._input: dict[str, Any] = interpreter.get_input_details()[0]
        self._output: dict[str, Any] = interpreter.get_output_details()[0]
        self._lock = threading.Lock()
        self._is_open = True

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the program on each input.

        Args:
            batch: Raw inputs (N, ...), N at least 1.

        Returns:
            Outputs, float32 (N, K).

        Raises:
            BundleError: If the program fails on this batch, or was closed.
        """
        with self._lock:
            if not self._is_open:
                raise BundleError(*CLOSED)
            try:
                if len(batch) == 1:
                    return self._run(batch)
                return np.concatenate([self._run(batch[i : i + 1]) for i in range(len(batch))])
            except (RuntimeError, ValueError) as error:
                raise BundleError(f"LiteRT cannot run the program: {error}") from error

    def close(self) -> None:
        """Free the program."""
        with self._lock:
            if self._is_open:
                del self._interpreter
            self._is_open = False

    def _run(self, one: np.ndarray) -> np.ndarray:
        (scale, zero), lowest, highest = self._input["quantization"], *LEVELS
        if scale and one.dtype == np.float32:
            one = (one / scale + zero).round().clip(lowest, highest).astype(np.int8)
        self._interpreter.set_tensor(self._input["index"], one)
        self._interpreter.invoke()
        outputs: np.ndarray = self._interpreter.get_tensor(self._output["index"])
        scale, zero = self._output["quantization"]
        return (outputs.astype(np.float32) - zero) * np.float32(scale) if scale else outputs


def open_session(paths: Sequence[Path], threads: int) -> LiteRtSession:
    """Open a LiteRT model.

    Args:
        paths: The model's one file.
        threads: Threads of one call, at least 1.

    Returns:
        The session.

    Raises:
        BundleError: If the file is no LiteRT model of one input and one output, or cannot be
            loaded.
    """
    name, data = paths[0].name, paths[0].read_bytes()
    if data[START : START + len(MAGIC)] != MAGIC:
        raise BundleError(f"{name} is not a LiteRT model", "make the bundle again")
    try:
        with silent_stderr():  # it says that it uses XNNPACK
            interpreter = Interpreter(model_content=data, num_threads=threads)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BundleError(
            f"LiteRT cannot load {name}: {reason}", "make the bundle again"
        ) from error
    _check_signature(interpreter, name)
    return LiteRtSession(interpreter)


def _check_signature(interpreter: Interpreter, name: str) -> None:
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise BundleError(f"{name} must have one input and one output")
    if not _is_float(inputs[0]) and np.dtype(inputs[0]["dtype"]).name not in TYPES:
        raise BundleError(f"{name} must take one of {', '.join(TYPES)}")
    if not _is_float(outputs[0]):
        raise BundleError(f"{name} must give float32")


def _is_float(tensor: dict[str, Any]) -> bool:
    """Say whether a tensor is float32, or int8 levels that stand for it."""
    scale = tensor["quantization"][0]
    found: bool = tensor["dtype"] is np.float32 or (tensor["dtype"] is np.int8 and scale > 0)
    return found
