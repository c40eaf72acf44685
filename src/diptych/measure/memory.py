"""Memory: what this process uses, the most it ever used, and what the machine gives it."""

import os
import sys
from pathlib import Path

from diptych.measure.cgroup import memory_limit_bytes

STATUS = Path("/proc/self/status")


def rss_bytes(status: Path = STATUS) -> int:
    """Read how much memory of this process is resident now.

    Args:
        status: The process's status file.

    Returns:
        Bytes; where there is no such file, the peak.
    """
    return _status_bytes(status, "VmRSS") or _usage_peak_bytes()


def peak_rss_bytes(status: Path = STATUS) -> int:
    """Read the most memory of this process that was ever resident.

    Args:
        status: The process's status file.

    Returns:
        Bytes since the program was started. Where there is no such file the figure comes from
        getrusage, which on Linux may include the process that started this one.
    """
    return _status_bytes(status, "VmHWM") or _usage_peak_bytes()


def total_bytes(root: Path = Path("/")) -> int:
    """Read how much memory this process may use.

    Args:
        root: The root of the file system, where ``proc`` and ``sys`` are.

    Returns:
        The machine's memory, its container's limit or the process's own, whichever is least.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, memory_limit_bytes(root) or machine, _data_limit_bytes() or machine)


def _status_bytes(status: Path, key: str) -> int:
    """Return what a line such as ``VmHWM:  1234 kB`` says; 0 where it is missing."""
    try:
        text = status.read_text(encoding="utf-8")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0


def _data_limit_bytes() -> int | None:
    """Return what the process may allocate, where that is limited."""
    import resource  # noqa: PLC0415  absent on Windows

    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if limit == resource.RLIM_INFINITY else limit


def _usage_peak_bytes() -> int:
    import resource  # noqa: PLC0415  absent on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
