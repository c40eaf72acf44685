"""Golden examples: real inputs with the logits each program gave; re-run wherever it is loaded.

They are a certificate that this machine, runtime and version compute what was measured.
Shapes: N examples, K outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diptych.core.errors import BundleError
from diptych.core.files import safe_join
from diptych.core.manifest import Manifest
from diptych.core.values import Program
from diptych.inference.npz import read_arrays, write_arrays
from diptych.inference.runtimes import Session

FILE_NAME = "golden.npz"
INPUTS = "inputs"
MAX_EXAMPLES = 256
MAX_BYTES = 48 << 20


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Raw inputs (N, ...), and outputs float32 (N, K) by the name of the program."""

    inputs: np.ndarray
    expected: Mapping[str, np.ndarray]


def build(inputs: np.ndarray, expected: Mapping[str, np.ndarray]) -> bytes:
    """Write golden examples.

    Args:
        inputs: Raw inputs (N, ...), N at least 1; the first 256 are kept, or as many as are 48 MiB
            with their logits.
        expected: float32 (N, K) logits by the name of the program that gave them.

    Returns:
        The content of ``golden.npz``.
    """
    arrays = {INPUTS: inputs, **expected}
    kept = max(1, min(MAX_EXAMPLES, MAX_BYTES // sum(array[0].nbytes for array in arrays.values())))
    return write_arrays({name: array[:kept] for name, array in arrays.items()})


def read(folder: Path, manifest: Manifest) -> Golden:
    """Read a bundle's golden examples.

    Args:
        folder: The bundle.
        manifest: What is in it.

    Returns:
        The examples.

    Raises:
        BundleError: If there are none, or they are not as the manifest says.
    """
    if FILE_NAME not in {file.path for file in manifest.files}:
        raise BundleError("the bundle has no golden examples", "make the bundle again")
    return parse(safe_join(folder, FILE_NAME).read_bytes(), manifest)


def parse(data: bytes, manifest: Manifest) -> Golden:
    """Read golden examples.

    Args:
        data: The content of ``golden.npz``.
        manifest: The bundle they belong to.

    Returns:
        The examples.

    Raises:
        BundleError: If an array is missing, or has not the shape that the manifest says.
    """
    arrays = read_arrays(data)
    inputs = arrays.pop(INPUTS, np.empty(0))
    tensor = manifest.input.tensor()
    if inputs.dtype != tensor.dtype or inputs.shape[1:] != tensor.shape[1:]:
        raise BundleError(
            f"the golden inputs are {inputs.dtype} {inputs.shape}, not {tensor.dtype} with "
            f"{tensor.shape[1:]} each"
        )
    if not 1 <= len(inputs) <= MAX_EXAMPLES:
        raise BundleError(f"there are {len(inputs)} golden examples, not 1 to {MAX_EXAMPLES}")
    logits = (len(inputs), len(manifest.labels))
    for program in manifest.programs:
        found = arrays.get(program.name, np.empty(0))
        if found.dtype != np.float32 or found.shape != logits:
            raise BundleError(f"the golden logits of {program.name!r} have shape {found.shape}")
    return Golden(inputs=inputs, expected=arrays)


def check(session: Session, program: Program, golden: Golden) -> None:
    """Run the golden examples, one at a time as a single prediction does.

    Args:
        session: The opened program.
        program: What the program is, with its tolerance.
        golden: The examples.

    Raises:
        BundleError: If a logit differs from the golden one by more than the tolerance.
    """
    expected = golden.expected[program.name]
    seen = np.empty_like(expected)
    for index in range(len(expected)):
        logits = session.run(golden.inputs[index : index + 1])
        if logits.shape != (1, expected.shape[1]) or logits.dtype != np.float32:
            raise BundleError(f"program {program.name!r} gives {logits.dtype} {logits.shape}")
        seen[index] = logits[0]
    difference = float(np.abs(seen - expected).max())
    if not difference <= program.tolerance:
        changed = int((seen.argmax(axis=1) != expected.argmax(axis=1)).sum())
        flips = f", and {changed} of {len(expected)} golden examples change their label"
        raise BundleError(
            f"program {program.name!r} computes something else on this machine: outputs differ by "
            f"{difference:.3g} (tolerance {program.tolerance:.3g})"
            f"{flips if expected.shape[1] > 1 else ''}",
            "lower its weights here: diptych export BUNDLE --target cpu --data DATA; or load with "
            'golden="warn" to use it all the same',
        )
