"""ONNX Runtime on a graphics processor, seen to run there: it silently falls back to the processor.

Two things are looked at: the providers of the session that was opened, and the profile of a run,
which says of each step who computed it.
"""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime

from diptych.core.errors import BundleError
from diptych.inference.runtimes.onnxruntime import OnnxRuntimeSession, create, options

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
CHAINS: dict[str, list[Any]] = {
    CUDA: [(CUDA, {"use_tf32": "0"})],
    TENSORRT: [TENSORRT, (CUDA, {"use_tf32": "0"})],
}
"""Who computes what: in float32 as it is, without TensorFloat-32."""
DTYPES = {"uint8": np.uint8, "int16": np.int16, "int32": np.int32, "int64": np.int64}
HINT = "see what is missing with: diptych doctor"
NAMED = 3

logger = logging.getLogger(__name__)


def open_cuda(paths: Sequence[Path], threads: int) -> OnnxRuntimeSession:
    """Open an ONNX model on CUDA.

    Args:
        paths: The model's one file.
        threads: Threads of what stays on the processor, at least 1.

    Returns:
        The session.
    """
    return open_on(CUDA, paths, threads)


def open_tensorrt(paths: Sequence[Path], threads: int) -> OnnxRuntimeSession:
    """Open an ONNX model in TensorRT; what that lacks runs on CUDA.

    ONNX Runtime has no option by which TensorRT computes without TensorFloat-32, so NVIDIA's own
    variable says so to this process, unless it is set.

    Args:
        paths: The model's one file.
        threads: Threads of what stays on the processor, at least 1.

    Returns:
        The session.
    """
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    return open_on(TENSORRT, paths, threads)


def open_on(provider: str, paths: Sequence[Path], threads: int) -> OnnxRuntimeSession:
    """Open an ONNX model on a provider and run it once, to see that it runs there.

    Args:
        provider: A name in :data:`CHAINS`.
        paths: The model's one file.
        threads: Threads of what stays on the processor, at least 1.

    Returns:
        The session.

    Raises:
        BundleError: If the model cannot be opened, or would run on the processor.
    """
    if provider not in onnxruntime.get_available_providers():
        raise BundleError(f"this ONNX Runtime has no {provider}", HINT)
    with tempfile.TemporaryDirectory(prefix="diptych-") as folder:
        profiled = options(threads)
        profiled.enable_profiling = True
        profiled.profile_file_prefix = str(Path(folder) / "run")
        session = create(paths[0], profiled, CHAINS[provider])
        if provider not in session.get_providers():
            raise BundleError(f"ONNX Runtime cannot use {provider} here, and fell back", HINT)
        opened = OnnxRuntimeSession(session)
        opened.run(_example(session))
        check_profile(Path(session.end_profiling()).read_bytes(), provider)
    return opened


def check_profile(profile: bytes, provider: str) -> None:
    """Check by a profile that a run was computed where it should be.

    Args:
        profile: What ONNX Runtime wrote of it, JSON.
        provider: Who should compute.

    Raises:
        BundleError: If that provider computed no step; for single steps a warning is logged.
    """
    events = msgspec.json.decode(profile)
    told = [event["args"] for event in events if event.get("cat") == "Node" and "args" in event]
    steps = [args for args in told if "provider" in args]
    elsewhere = [args["op_name"] for args in steps if args["provider"] not in {CUDA, TENSORRT}]
    if not any(args["provider"] == provider for args in steps):
        raise BundleError(f"ONNX Runtime ran no step of the program on {provider}", HINT)
    if elsewhere:
        names = ", ".join(list(dict.fromkeys(elsewhere))[:NAMED])
        logger.warning("%d of %d steps run on the processor: %s", len(elsewhere), len(steps), names)


def _example(session: onnxruntime.InferenceSession) -> np.ndarray:
    """Make one input of zeros."""
    given = session.get_inputs()[0]
    name = given.type.removeprefix("tensor(").removesuffix(")")
    shape = [side if isinstance(side, int) else 1 for side in given.shape]
    return np.zeros(shape, DTYPES.get(name, np.float32))
