"""Runtimes: one module per engine that runs a program; the engine is imported when it is opened.

Every program takes one tensor of raw values (N, ...) and gives float32 (N, K) outputs.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from diptych.core.errors import ConfigError, MissingExtraError
from diptych.core.text import nearest
from diptych.inference.manifest import MAX_THREADS
from diptych.inference.runtimes.telemetry import no_telemetry


class Session(Protocol):
    """A program that is ready to run; it may be called from several threads."""

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run the program.

        Args:
            batch: Raw inputs (N, ...).

        Returns:
            Logits, float32 (N, K), in memory of their own.
        """

    def close(self) -> None:
        """Free the program; it cannot run afterwards, and may be closed again."""


Opener = Callable[[Sequence[Path], int], Session]
CLOSED = "the program was closed", "load the bundle again"
"""The error of a program that is to run after that, and its hint."""


class Engine(NamedTuple):
    """An engine: its module here, its library, and the extra that brings it (none: the base).

    One that needs a graphics processor has a `plugin` in its library's folder, and a `stand_in`
    that computes the same from the same files elsewhere.
    """

    module: str
    library: str
    extra: str = ""
    opener: str = "open_session"
    plugin: str = ""
    stand_in: str = ""

    @property
    def needs_gpu(self) -> bool:
        """Whether it computes on a graphics processor."""
        return bool(self.plugin)


RUNTIMES: dict[str, Engine] = {
    "onnxruntime": Engine("onnxruntime", "onnxruntime"),
    "openvino": Engine("openvino", "openvino", "openvino"),
    "litert": Engine("litert", "ai_edge_litert", "edge"),
    "onnxruntime-cuda": Engine(
        "onnxruntime_gpu", "onnxruntime", "cuda", "open_cuda", "providers_cuda", "onnxruntime"
    ),
    "onnxruntime-tensorrt": Engine(
        "onnxruntime_gpu",
        "onnxruntime",
        "cuda",
        "open_tensorrt",
        "providers_tensorrt",
        "onnxruntime",
    ),
}
DEVICES = "nvidia[0-9]*"


def obstacle(runtime: str, devices: Path = Path("/dev")) -> str:
    """Say why programs for a runtime cannot be opened here, without importing it.

    Args:
        runtime: A name in :data:`RUNTIMES`.
        devices: Where the system lists its devices.

    Returns:
        The reason in a few words; ``""`` where :func:`open_session` can open them.
    """
    engine = RUNTIMES[runtime]
    found = find_spec(engine.library)
    if found is None:
        return f"{engine.library} is not installed"
    folders = map(Path, found.submodule_search_locations or ())
    if engine.plugin and not any(any(f.glob(f"capi/*{engine.plugin}*")) for f in folders):
        return f"this {engine.library} is built for processors only"
    if engine.plugin and not any(devices.glob(DEVICES)):
        return "there is no CUDA device"
    return ""


def remedy(runtime: str) -> str:
    """Say what to install for a runtime.

    Args:
        runtime: A name in :data:`RUNTIMES`.

    Returns:
        A command.
    """
    engine = RUNTIMES[runtime]
    return f"pip install 'diptych[{engine.extra}]'" if engine.extra else "pip install diptych"


def available(runtime: str) -> bool:
    """Say whether a runtime is known and can run here, without importing it.

    Args:
        runtime: A runtime's name.

    Returns:
        True where :func:`open_session` can open programs for it.
    """
    return runtime in RUNTIMES and not obstacle(runtime)


def open_session(runtime: str, paths: Sequence[Path], threads: int = 1) -> Session:
    """Open a program.

    Args:
        runtime: A name in :data:`RUNTIMES`.
        paths: The program's files; the first is the one to open.
        threads: How many threads one call may use, 1 to 1024.

    Returns:
        The session.

    Raises:
        ConfigError: If the runtime is unknown or `threads` is out of range.
        MissingExtraError: If the runtime is not installed, or its library cannot be imported.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"unknown runtime {runtime!r}", nearest(runtime, RUNTIMES))
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError(f"threads is {threads}", f"use 1 to {MAX_THREADS}")
    if reason := obstacle(runtime):
        raise MissingExtraError(f"{runtime!r} cannot run here: {reason}", remedy(runtime))
    engine = RUNTIMES[runtime]
    try:
        with no_telemetry():
            door = import_module(f"{__name__}.{engine.module}")
    except ImportError as error:
        raise MissingExtraError(
            f"{runtime!r} cannot run here: {engine.library} is damaged or lacks something: {error}",
            f"pip install --force-reinstall {engine.library}",
        ) from error
    opener: Opener = getattr(door, engine.opener)
    return opener(paths, threads)
