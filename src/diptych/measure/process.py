"""A new process, measured: how long it takes from start to end, its peak memory, its CPU time.

This is what a cold start is: nothing of the process exists before, though its files may be in the
system's cache (they are, from the second run on).
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diptych.core.errors import ConfigError

LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, kw_only=True)
class ProcessFigures:
    """What the runs of a command used, float64 (R,) and int64 (R,), one entry per run.

    `peak_rss_bytes` has a floor of about 10 MB, the memory of the program that starts the command.
    """

    wall_ms: np.ndarray
    cpu_seconds: np.ndarray
    peak_rss_bytes: np.ndarray


def probe(
    command: Sequence[str], *, runs: int = 5, timeout_s: float | None = 600.0
) -> ProcessFigures:
    """Run a command some times, each in a new process, and measure it.

    Args:
        command: The program and its arguments; its output is discarded.
        runs: How many times, at least 1.
        timeout_s: How long one run may take; None for ever.

    Returns:
        The figures of each run, in order.

    Raises:
        ConfigError: If `runs` is below 1, this system cannot measure processes, or the command
            cannot be started, fails or takes too long.
    """
    if runs < 1 or not command:
        raise ConfigError(f"cannot measure {runs} runs of {list(command)}", "ask for at least one")
    if not hasattr(os, "wait4"):
        raise ConfigError(f"{sys.platform} does not tell what a process used", "use Linux or macOS")
    rows = np.array([_run_once(command, timeout_s) for _ in range(runs)], dtype=np.float64)
    return ProcessFigures(
        wall_ms=rows[:, 0], cpu_seconds=rows[:, 1], peak_rss_bytes=rows[:, 2].astype(np.int64)
    )


def _run_once(command: Sequence[str], timeout_s: float | None) -> list[float]:
    launcher = subprocess.Popen(  # noqa: S603  the caller's own command, no shell
        [sys.executable, "-I", "-S", str(LAUNCHER), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with launcher:
        try:
            output, complaint = launcher.communicate(timeout=timeout_s)
        except BaseException as error:
            os.killpg(launcher.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                message = f"{_shown(command)} took longer than {timeout_s:g} s"
                raise ConfigError(message, "allow more time") from error
            raise
    if launcher.returncode:
        lines = complaint.decode(errors="replace").strip().splitlines() or ["no message"]
        message = f"{_shown(command)} ended with code {launcher.returncode}: {lines[-1]}"
        raise ConfigError(message, "run it by hand to see more")
    figures: list[float] = json.loads(output)
    return figures


def _shown(command: Sequence[str]) -> str:
    text = " ".join(command)
    return text if len(text) <= 80 else text[:77] + "..."
