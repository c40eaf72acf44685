"""Runtimes: one module per engine that runs a program; the engine is imported when it is opened.

Every program takes one tensor of raw values (N, ...) and gives float32 (N, K) outputs.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from diptych.core.errors import ConfigError, MissingExtraError
from diptych.core.text import nearest
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
        """Free the program; it cannot run afterwards."""


Opener = Callable[[Sequence[Path], int], Session]


def _opener(module: str) -> Opener:
    def open_lazily(paths: Sequence[Path], threads: int) -> Session:
        with no_telemetry():
            runtime = import_module(f"{__name__}.{module}")
        session: Session = runtime.open_session(paths, threads)
        return session

    return open_lazily


RUNTIMES: dict[str, Opener] = {
    "onnxruntime": _opener("onnxruntime"),
    "openvino": _opener("openvino"),
}


def available(runtime: str) -> bool:
    """Say whether a runtime is known and installed, without importing it.

    Args:
        runtime: A runtime's name, which is also its library's.

    Returns:
        True where :func:`open_session` can open programs for it.
    """
    return runtime in RUNTIMES and find_spec(runtime) is not None


def open_session(runtime: str, paths: Sequence[Path], threads: int = 1) -> Session:
    """Open a program.

    Args:
        runtime: A name in :data:`RUNTIMES`.
        paths: The program's files; the first is the one to open.
        threads: How many threads one call may use, at least 1.

    Returns:
        The session.

    Raises:
        ConfigError: If the runtime is unknown or `threads` is below 1.
        MissingExtraError: If the runtime is not installed.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"unknown runtime {runtime!r}", nearest(runtime, RUNTIMES))
    if threads < 1:
        raise ConfigError(f"threads is {threads}", "use 1 or more")
    if not available(runtime):
        raise MissingExtraError(
            f"this needs {runtime!r}, which is not installed", f"pip install 'diptych[{runtime}]'"
        )
    return RUNTIMES[runtime](paths, threads)
