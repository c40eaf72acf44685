"""The machine: everything about it that a measured number depends on."""

import math
import os
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from diptych.core.manifest import Machine
from diptych.measure.cgroup import cpu_limit
from diptych.measure.memory import total_bytes

FLAGS = (
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_int8",
    "amx_bf16",
    "neon",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
WHOLE_SUMS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
X86_BF16, ARM_BF16 = ("avx512_bf16", "amx_bf16"), "bf16"
PACKAGES = (
    "diptych",
    "numpy",
    "pillow",
    "onnxruntime",
    "openvino",
    "nncf",
    "ai-edge-litert",
    "litert-torch",
    "torch",
)


def describe(root: Path = Path("/")) -> Machine:
    """Describe the machine this process runs on.

    Args:
        root: The root of the file system, where ``proc`` and ``sys`` are.

    Returns:
        Processor, cores and memory that this process may use, instruction sets, versions.
    """
    processor = _processor(root)
    words = set(" ".join((processor.get("flags", ""), processor.get("Features", ""))).split())
    return Machine(
        cpu=_cpu_name(processor, root),
        cores=usable_cores(root),
        memory_bytes=total_bytes(root),
        flags=tuple(flag for flag in FLAGS if flag in words),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        versions=versions(PACKAGES),
    )


def cuts_sums(machine: Machine) -> bool:
    """Say whether a processor cuts sums of products of 8 bits.

    Args:
        machine: The machine.

    Returns:
        Whether it is an x86-64 processor not known to have instructions that add them up in 32
        bits.
    """
    is_x86 = machine.system.endswith(("x86_64", "AMD64"))
    return is_x86 and WHOLE_SUMS.isdisjoint(machine.flags)


def lacks_bf16(machine: Machine) -> bool:
    """Say whether a processor is known to have no instructions for bfloat16: torch emulates it.

    Args:
        machine: The machine.

    Returns:
        False where its instructions are not known.
    """
    return bool(machine.flags) and {*X86_BF16, ARM_BF16}.isdisjoint(machine.flags)


def usable_cores(root: Path = Path("/")) -> int:
    """Count the cores this process may use.

    Args:
        root: The root of the file system, where ``proc`` and ``sys`` are.

    Returns:
        At least 1: the cores it is bound to, or its container's quota in whole cores if smaller.
    """
    if sys.platform == "linux":
        bound = len(os.sched_getaffinity(0))
    else:
        bound = os.cpu_count() or 1
    return max(1, min(bound, math.floor(cpu_limit(root) or bound)))


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Look up installed versions without importing anything.

    Args:
        packages: Names of distributions.

    Returns:
        The version of each one that is installed.
    """
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor(root: Path) -> dict[str, str]:
    """Return the first processor's paragraph of cpuinfo."""
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _cpu_name(processor: dict[str, str], root: Path) -> str:
    if name := processor.get("model name"):
        return name
    try:
        board = (root / "proc/device-tree/model").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine() or "unknown"
    return board.strip("\0\n ")
