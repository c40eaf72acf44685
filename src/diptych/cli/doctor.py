"""`diptych doctor`: what works on this machine and what to install; it never installs anything."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

from diptych.cli.output import note, print_json, progress, table
from diptych.core.errors import ConfigError
from diptych.core.interpreter import python
from diptych.core.manifest import Machine
from diptych.core.progress import Reporter, Step, silent
from diptych.core.specs import Value
from diptych.core.text import size
from diptych.inference.runtimes import DEVICES, obstacle, remedy
from diptych.measure.machine import cuts_sums, describe, versions
from diptych.measure.process import probe
from diptych.measure.processor_energy import counters
from diptych.targets import TARGETS, lacking

IMPORT_LIMIT_S = 120.0
MODELLED = "energy is modelled from CPU time"


class Library(NamedTuple):
    """A library, what it is for, and the extra that brings it (none: the base install)."""

    purpose: str
    module: str
    distribution: str
    extra: str = ""


LIBRARIES = (
    Library("pictures", "PIL", "pillow"),
    Library("runtime ONNX Runtime", "onnxruntime", "onnxruntime"),
    Library("runtime OpenVINO", "openvino", "openvino", "openvino"),
    Library("int8 for OpenVINO", "nncf", "nncf", "openvino"),
    Library("runtime LiteRT", "ai_edge_litert", "ai-edge-litert", "edge"),
    Library("programs for LiteRT", "litert_torch", "litert-torch", "edge-export"),
    Library("programs for phones", "executorch", "executorch", "mobile"),
    Library("FLAC and OGG sound", "soundfile", "soundfile", "audio"),
    Library("text", "tokenizers", "tokenizers", "text"),
    Library("training", "torch", "torch", "train"),
    Library("tables", "pyarrow", "pyarrow", "train"),
    Library("trees, built-in data", "sklearn", "scikit-learn", "train"),
    Library("weights", "safetensors", "safetensors", "train"),
    Library("ONNX export", "onnx", "onnx", "train"),
    Library("ONNX export", "onnxscript", "onnxscript", "train"),
    Library("encoders as teachers", "transformers", "transformers", "hf"),
    Library("serving", "uvicorn", "uvicorn", "serve"),
    Library("report charts", "altair", "altair", "report"),
    Library("report charts", "vl_convert", "vl-convert-python", "report"),
    Library("report page", "jinja2", "jinja2", "report"),
    Library("TensorBoard files", "tensorboardX", "tensorboardX", "tensorboard"),
    Library("energy of GPUs", "pynvml", "nvidia-ml-py", "gpu"),
)


class Capability(Value, frozen=True, kw_only=True):
    """One line of the doctor's findings; `hint` is what would make it work."""

    purpose: str
    name: str
    status: Literal["works", "installed", "broken", "missing"]
    detail: str = ""
    hint: str = ""


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Look, but import nothing.")] = False,
) -> None:
    """Say what works on this machine and what to install.

    Args:
        as_json: Print a JSON document instead of a table.
        quick: Do not try to import the libraries that are installed.
    """
    machine = describe()
    with progress(quiet=quick) as report:
        found = examine(None if quick else import_complaint, report=report)
    if as_json:
        print_json({"machine": machine, "capabilities": found})
        return
    print(_machine_line(machine), "", _findings(found), sep="\n")
    for hint in dict.fromkeys(one.hint for one in found if one.hint):
        note(f"hint: {hint}")


def examine(
    complaint_of: Callable[[str], str] | None, *, root: Path = Path("/"), report: Reporter = silent
) -> tuple[Capability, ...]:
    """Examine libraries, the processor, energy counters, accelerators and the compiler.

    Args:
        complaint_of: Imports a module elsewhere and says what went wrong, ``""`` if nothing; None
            to import nothing.
        root: The root of the file system, where ``proc``, ``sys`` and ``dev`` are.
        report: Called after each library.

    Returns:
        The findings, in the order of the table.
    """
    found = []
    for done, library in enumerate(LIBRARIES, start=1):
        found.append(library_capability(library, complaint_of))
        step = Step(stage="libraries", done=done, total=len(LIBRARIES), note=library.distribution)
        report(step)
    processor = processor_capability(describe(root))
    others = (counter_capability(root), cuda_capability(root), compiler_capability())
    return (*found, processor, *others, *target_capabilities(root))


def import_complaint(module: str) -> str:
    """Import a module in a new process.

    Args:
        module: Its name.

    Returns:
        What went wrong, ``""`` if nothing.
    """
    try:
        probe(python("-c", f"import {module}"), runs=1, timeout_s=IMPORT_LIMIT_S)
    except ConfigError as error:
        return error.message.partition(": ")[2] or error.message
    return ""


def library_capability(
    library: Library, complaint_of: Callable[[str], str] | None = None
) -> Capability:
    """Examine one library.

    Args:
        library: Which one.
        complaint_of: As in :func:`examine`.

    Returns:
        The finding; a library that is installed but was not imported is ``installed``.
    """
    package = f"'diptych[{library.extra}]'" if library.extra else library.distribution
    purpose, name = library.purpose, library.distribution
    version = versions([name]).get(name)
    if version is None or find_spec(library.module) is None:
        hint = f"pip install {package}"
        return Capability(purpose=purpose, name=name, status="missing", hint=hint)
    if complaint_of is None:
        return Capability(purpose=purpose, name=name, status="installed", detail=version)
    if complaint := complaint_of(library.module):
        return Capability(
            purpose=purpose,
            name=name,
            status="broken",
            detail=f"{version}: {complaint}",
            hint=f"pip install --force-reinstall {name}=={version}",
        )
    return Capability(purpose=purpose, name=name, status="works", detail=version)


def processor_capability(machine: Machine) -> Capability:
    """Examine what the processor makes of int8.

    Args:
        machine: The machine.

    Returns:
        The finding.
    """
    purpose, name = "int8", "VNNI or alike"
    if not cuts_sums(machine):
        detail = "sums of products are whole"
        return Capability(purpose=purpose, name=name, status="works", detail=detail)
    known = "sums are cut" if machine.flags else "not known; sums may be cut"
    detail = f"{known}: 7 bits for weights where that is better"
    return Capability(purpose=purpose, name=name, status="missing", detail=detail)


def counter_capability(root: Path) -> Capability:
    """Examine the processor's energy counters.

    Args:
        root: The root of the file system, where ``sys`` is.

    Returns:
        The finding, and how energy is had.
    """
    count = len(counters(root / "sys/class/powercap"))
    return Capability(
        purpose="energy counters",
        name="RAPL",
        status="works" if count else "missing",
        detail=f"{count} package(s)" if count else MODELLED,
    )


def cuda_capability(root: Path) -> Capability:
    """Look for CUDA devices through the driver's files, without a library.

    Args:
        root: The root of the file system, where ``proc`` and ``dev`` are.

    Returns:
        The finding, with a hint where the torch that is installed cannot use the devices.
    """
    devices = [path for path in (root / "dev").glob("nvidia*") if path.name[6:].isdigit()]
    purpose, name = "CUDA devices", "nvidia driver"
    if not devices:
        return Capability(purpose=purpose, name=name, status="missing", detail="not needed")
    hint = ""
    if versions(["torch"]).get("torch", "").endswith("+cpu"):
        hint = "pip install --force-reinstall --index-url https://pypi.org/simple 'diptych[train]'"
    detail = ", ".join(_cuda_models(root)) or f"{len(devices)} device(s)"
    return Capability(purpose=purpose, name=name, status="works", detail=detail, hint=hint)


def target_capabilities(root: Path) -> tuple[Capability, ...]:
    """Say of each target whether its programs run here, or would be unverified.

    Args:
        root: The root of the file system, where ``dev`` is.

    Returns:
        A finding for each.
    """
    found = []
    for target, choices in TARGETS.items():
        runtime, absent = choices[0][0], lacking(choices[0][0])
        reason = f"{absent[0]} is not installed" if absent else obstacle(runtime, root / "dev")
        detail, hint = reason or f"by {runtime}", ""
        if absent:
            hint = f"pip install 'diptych[{absent[1]}]'"
        elif reason:
            detail = f"{reason}: programs would be unverified"
            hint = remedy(runtime) if any((root / "dev").glob(DEVICES)) else ""
        found.append(
            Capability(
                purpose="target",
                name=target,
                status="missing" if reason else "works",
                detail=detail,
                hint=hint,
            )
        )
    return tuple(found)


def compiler_capability() -> Capability:
    """Look for a C++ compiler.

    Returns:
        The finding.
    """
    purpose, name = "compiler", "g++"
    if path := shutil.which(name):
        return Capability(purpose=purpose, name=name, status="works", detail=path)
    detail = "only torch.compile and export --target torch need it"
    return Capability(
        purpose=purpose, name=name, status="missing", detail=detail, hint="sudo apt install g++"
    )


def _cuda_models(root: Path) -> list[str]:
    models = []
    for path in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key == "Model":
                models.append(value.strip())
    return models


def _machine_line(machine: Machine) -> str:
    parts = (
        machine.cpu,
        f"{machine.cores} cores",
        size(machine.memory_bytes),
        " ".join(machine.flags) or "no vector instructions known",
        machine.system,
        f"Python {machine.python}",
        f"diptych {machine.versions.get('diptych', 'not installed')}",
    )
    return ", ".join(parts)


def _findings(found: tuple[Capability, ...]) -> str:
    rows = [(one.purpose, one.name, one.status, one.detail) for one in found]
    header = ("for", "what", "status", "detail")
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    padded = [
        [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        for row in (header, *rows)
    ]
    return table(padded[0], padded[1:])
