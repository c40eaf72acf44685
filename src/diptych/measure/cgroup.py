"""Limits of the container this process runs in, from Linux control groups (version 1 and 2).

A limit may be set at any level above the process; the tightest one counts.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

UNLIMITED_BYTES = 1 << 60


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """Read how much memory the process may use.

    Args:
        root: The root of the file system, where ``proc`` and ``sys`` are.

    Returns:
        The tightest limit in bytes, or None where there is none.
    """
    limits = [
        int(word)
        for folder in _levels(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        for word in _words(folder / name)
        if word.isdigit() and int(word) < UNLIMITED_BYTES
    ]
    return min(limits, default=None)


def cpu_limit(root: Path = Path("/")) -> float | None:
    """Read how many processors' worth of time the process may use.

    Args:
        root: The root of the file system, where ``proc`` and ``sys`` are.

    Returns:
        The tightest quota in processors, such as 1.5, or None where there is none.
    """
    limits = []
    for folder in _levels(root, "cpu"):
        new = _words(folder / "cpu.max")
        old = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        for words in (new, old):
            if len(words) == 2 and all(word.isdigit() and int(word) for word in words):
                limits.append(int(words[0]) / int(words[1]))
    return min(limits, default=None)


def _levels(root: Path, controller: str) -> Iterator[Path]:
    """Give the folders of the process's group and of the groups above it."""
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        mount = root / "sys/fs/cgroup"
        if controllers:
            mount /= controller
        if controllers and controller not in controllers.split(","):
            continue
        inner = PurePosixPath(group.lstrip("/"))
        for level in (inner, *inner.parents):
            if ".." not in level.parts:
                yield mount / level


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]
