"""OpenVINO on the CPU: one compiled form for single inputs, one with a free batch axis.

Inputs are copied into memory of the request, for a request that is lent an array may write to it
at a later call. The model is read from bytes, so no other file is followed, and nothing is cached
on disk.
Shapes: N batch, K outputs.
"""

import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import openvino

from diptych.core.errors import BundleError
from diptych.inference.runtimes import CLOSED
from diptych.inference.runtimes.hints import BF16, HINT

TYPES = ("u8", "i16", "i32", "i64", "f32")
OUTPUT_TYPE = "f32"
IR_STARTS = (b"<?xml", b"<net")


class OpenVinoSession:
    """A program in OpenVINO; calls from several threads wait for each other.

    Args:
        model: The model that was read, with one input and one output.
        threads: Threads of one call, at least 1.
    """

    def __init__(self, model: openvino.Model, threads: int) -> None:
        self._model = model
        self._config = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            HINT[-1]: BF16 if _wants_bf16(model) else "f32",
        }
        self._lock = threading.Lock()
        self._single = self._compile(1)
        self._inputs = self._single.get_input_tensor().data
        self._logits = self._single.get_output_tensor().data
        self._batched: openvino.InferRequest | None = None
        self._is_open = True

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the program.

        Args:
            batch: Raw inputs (N, ...).

        Returns:
            Logits, float32 (N, K).

        Raises:
            BundleError: If the program fails on this batch, or was closed.
        """
        with self._lock:
            if not self._is_open:
                raise BundleError(*CLOSED)
            try:
                return self._infer(batch)
            except (RuntimeError, ValueError) as error:
                raise BundleError(f"OpenVINO cannot run the program: {error}") from error

    def close(self) -> None:
        """Free the program."""
        with self._lock:
            if self._is_open:
                del self._inputs, self._logits, self._single, self._batched, self._model
            self._is_open = False

    def _infer(self, batch: np.ndarray) -> np.ndarray:
        if batch.dtype != self._inputs.dtype:
            raise ValueError(f"it takes {self._inputs.dtype}, not {batch.dtype}")
        if batch.shape == self._inputs.shape:
            self._inputs[...] = batch
            self._single.infer(share_outputs=True)
            single: np.ndarray = self._logits.copy()
            return single
        if batch.shape[1:] != self._inputs.shape[1:]:
            raise ValueError(f"it takes {self._inputs.shape[1:]}, not {batch.shape[1:]}")
        if self._batched is None:
            self._batched = self._compile(-1)
        result = self._batched.infer([batch], share_inputs=False, share_outputs=False)
        logits: np.ndarray = result[0]
        return logits

    def _compile(self, batch_size: int) -> openvino.InferRequest:
        model = self._model.clone()
        shape = model.input(0).get_partial_shape()
        shape[0] = openvino.Dimension(batch_size)
        model.reshape(shape)
        compiled = core().compile_model(model, "CPU", self._config)
        return compiled.create_infer_request()


@cache
def core() -> openvino.Core:
    """Give the one core of the process, which is never freed.

    A core gives the process another stack for signals and takes it back when it is freed. Cores
    that are freed in another order than they were made leave a stack that is no longer there, and
    the next Ctrl-C crashes the process.

    Returns:
        The core, with its plugin for processors loaded.
    """
    only = openvino.Core()
    only.get_versions("CPU")
    return only


def open_session(paths: Sequence[Path], threads: int) -> OpenVinoSession:
    """Open an OpenVINO model.

    Args:
        paths: The model's ``.xml`` and ``.bin``.
        threads: Threads of one call, at least 1.

    Returns:
        The session.

    Raises:
        BundleError: If the files are not an OpenVINO model of one input and one output, or cannot
            be loaded.
    """
    if len(paths) != 2:
        raise BundleError(f"an OpenVINO program has 2 files, not {len(paths)}")
    graph, weights = (path.read_bytes() for path in paths)
    if not graph.startswith(IR_STARTS):
        raise BundleError(f"{paths[0].name} is not an OpenVINO graph", "make the bundle again")
    try:
        model = core().read_model(graph, weights)
        _check_signature(model, paths[0].name)
        return OpenVinoSession(model, threads)
    except BundleError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        raise BundleError(
            f"OpenVINO cannot load {paths[0].name}: {error}", "make the bundle again"
        ) from error


def _wants_bf16(model: openvino.Model) -> bool:
    """Say whether a graph notes that it was measured in bfloat16; without it, it is float32."""
    noted = model.has_rt_info(list(HINT))
    return bool(noted and model.get_rt_info(list(HINT)).astype(str) == BF16)


def _check_signature(model: openvino.Model, name: str) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise BundleError(f"{name} must have one input and one output")
    if model.input(0).element_type.get_type_name() not in TYPES:
        raise BundleError(f"{name} must take one of {', '.join(TYPES)}")
    if model.output(0).element_type.get_type_name() != OUTPUT_TYPE:
        raise BundleError(f"{name} must give float32")
