"""The text of a bundle: ``bundle.json`` read with limits, checked, and written.

Shapes: N batch, H height, W width, C channels, K classes.
"""

import math
import re
import sys
from collections.abc import Callable
from typing import TypeVar

import msgspec

from diptych.core.errors import BundleError, ConfigError
from diptych.core.files import sha256_of_bytes
from diptych.core.manifest import FORMAT_VERSION, Manifest
from diptych.core.specs import DateColumn, InputSpec, TableSpec, TensorSpec
from diptych.core.values import FileRecord, Goal, Program
from diptych.tasks.dates import FORMS

FILE_NAME = "bundle.json"
MAX_BYTES = 4 << 20
SEAL = b',\n "sha256": "%s"\n}'
LARGEST = sys.float_info.max
MAX_PARTS = 100_000
MAX_PATH = 512
MAX_LABELS = 100_000
MAX_PROGRAMS = 64
LEAST_LABELS: dict[Goal, int] = {
    "classification": 2,
    "ordinal": 2,
    "multi-label": 1,
    "regression": 1,
}
MAX_THREADS = 1024
PROGRAM_NAME = re.compile(r"(?!inputs$)[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
LOOKS_AGAIN = "-else-mirrored"
"""What the names of a model and a program that look at the mirror image too end with."""
LONGEST_MODEL_NAME = 30
"""Names of programs are made of it: of a runtime and a precision, or of two models, a second look
after either; `A-else-B-else-mirrored` has all of the 80 letters."""
DAMAGED = "the bundle is damaged or was not made by Diptych; make it again"

Kind = TypeVar("Kind")


class _Versioned(msgspec.Struct):
    """What every format version has, whatever else it holds."""

    format_version: int


def parse(data: bytes) -> Manifest:
    """Read a manifest.

    Args:
        data: The content of ``bundle.json``.

    Returns:
        The manifest, checked.

    Raises:
        BundleError: If it is too large, of another version, changed, or not a valid manifest.
    """
    if len(data) > MAX_BYTES:
        raise BundleError(f"{FILE_NAME} is larger than {MAX_BYTES} bytes", DAMAGED)
    if data.count(b"{") + data.count(b"[") > MAX_PARTS:
        raise BundleError(f"{FILE_NAME} has more than {MAX_PARTS} parts", DAMAGED)
    check_version(data)
    body = _unseal(data)
    manifest = _read(lambda: msgspec.convert(_each(msgspec.json.decode(body), _infinite), Manifest))
    for problem in _problems(manifest):
        raise BundleError(f"{FILE_NAME}: {problem}", DAMAGED)
    return manifest


def check_version(data: bytes) -> None:
    """Check that a manifest is of the format version that this package reads.

    Args:
        data: The content of ``bundle.json``.

    Raises:
        BundleError: If it has another version, or none.
    """
    version = _read(lambda: msgspec.json.decode(data, type=_Versioned)).format_version
    if version != FORMAT_VERSION:
        newer = version > FORMAT_VERSION
        raise BundleError(
            f"the bundle has format version {version}, this Diptych reads {FORMAT_VERSION}",
            "pip install --upgrade diptych" if newer else "make the bundle again",
        )


def encode(manifest: Manifest) -> bytes:
    """Write a manifest.

    Args:
        manifest: The manifest.

    Returns:
        Indented JSON that :func:`parse` gives back unchanged.

    Raises:
        BundleError: If it would not be accepted when read.
    """
    try:
        plain = _each(msgspec.to_builtins(manifest), _finite)
        data = seal(msgspec.json.format(msgspec.json.encode(plain), indent=1))
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(f"{FILE_NAME} cannot hold this: {error}") from error
    parse(data)
    return data


def seal(body: bytes) -> bytes:
    """Close a JSON object with one more key, ``sha256``: the hash of the object without it.

    Args:
        body: A JSON object with at least one key.

    Returns:
        The object with the key, so that a changed byte is noticed.
    """
    digest = sha256_of_bytes(body).encode()
    return body.rstrip().removesuffix(b"}").rstrip() + SEAL % digest


def listed_files(manifest: Manifest) -> dict[str, FileRecord]:
    """Gather the files that a manifest vouches for.

    Args:
        manifest: The manifest.

    Returns:
        The records by path; programs' files and the others.

    Raises:
        BundleError: If a path is too long, or is listed twice with another hash or size.
    """
    records: dict[str, FileRecord] = {}
    programs = (record for program in manifest.programs for record in program.files)
    for record in (*manifest.files, *programs):
        if len(record.path) > MAX_PATH:
            raise BundleError(f"{FILE_NAME} lists a path of {len(record.path)} letters", DAMAGED)
        if records.setdefault(record.path, record) != record:
            raise BundleError(f"{FILE_NAME} lists {record.path!r} twice, differently", DAMAGED)
    return records


def check_model_name(name: str) -> None:
    """Check that the names of a model's programs will not be too long.

    Args:
        name: The model's.

    Raises:
        ConfigError: If they may be.
    """
    if len(name.removesuffix(LOOKS_AGAIN)) > LONGEST_MODEL_NAME:
        raise ConfigError(
            f"the model's name {name!r} has {len(name)} letters, of at most {LONGEST_MODEL_NAME}",
            "choose a shorter one: the names of its programs begin with it",
        )


def _unseal(data: bytes) -> bytes:
    body = data[: -len(SEAL % bytes(64))] + b"\n}"
    if seal(body) != data:
        raise BundleError(f"{FILE_NAME} was changed: its hash differs", DAMAGED)
    return body


def _read(decode: Callable[[], Kind]) -> Kind:
    try:
        return decode()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BundleError(f"{FILE_NAME} cannot be read: {reason}", DAMAGED) from error


def _finite(value: object) -> object:
    # JSON has no infinity: a bound that is missing is written as the largest number there is.
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("a number is NaN")
    return max(-LARGEST, min(LARGEST, value)) if isinstance(value, float) else value


def _infinite(value: object) -> object:
    if isinstance(value, float) and abs(value) == LARGEST:
        return math.copysign(math.inf, value)
    return value


def _each(tree: object, change: Callable[[object], object]) -> object:
    if isinstance(tree, dict):
        return {key: _each(value, change) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_each(value, change) for value in tree]
    return change(tree)


def _problems(manifest: Manifest) -> list[str]:
    problems = []
    least = LEAST_LABELS[manifest.goal]
    if not least <= len(set(manifest.labels)) == len(manifest.labels) <= MAX_LABELS:
        problems.append(
            f"{len(manifest.labels)} labels, but {least} or more different ones are needed"
        )
    if absent := set(manifest.assets) - {file.path for file in manifest.files}:
        problems.append(f"{min(absent)[:80]!r} is needed to prepare inputs but is not listed")
    problems += _date_problems(manifest.input)
    names = [program.name for program in manifest.programs]
    if not 1 <= len(set(names)) == len(names) <= MAX_PROGRAMS:
        problems.append(f"{len(names)} programs, but 1 to {MAX_PROGRAMS} named ones are needed")
    for program in manifest.programs:
        problems += _program_problems(program, manifest)
    return problems


def _date_problems(spec: InputSpec) -> list[str]:
    """Find forms of dates that no training writes: reading such dates may fail, or take long."""
    columns = spec.columns if isinstance(spec, TableSpec) else ()
    return [
        f"column {column.name[:80]!r} has dates of an unknown form, {column.format[:80]!r}"
        for column in columns
        if isinstance(column, DateColumn) and column.format not in FORMS
    ]


def _program_problems(program: Program, manifest: Manifest) -> list[str]:
    name, problems = program.name[:80], []
    if not PROGRAM_NAME.fullmatch(program.name):
        problems.append(f"the program name {name!r} must be letters, digits, dots and dashes")
    if not program.files:
        problems.append(f"program {name!r} has no files")
    if program.input != manifest.input.tensor():
        problems.append(f"program {name!r} takes another input than the bundle's")
    logits = TensorSpec(
        name=program.output.name, dtype="float32", shape=(None, len(manifest.labels))
    )
    if program.output != logits:
        problems.append(f"program {name!r} must give float32 logits, one for each label")
    if not (math.isfinite(program.tolerance) and program.tolerance >= 0):
        problems.append(f"program {name!r} has tolerance {program.tolerance}")
    if not 1 <= program.threads <= MAX_THREADS:
        problems.append(f"program {name!r} wants {program.threads} threads")
    return problems
