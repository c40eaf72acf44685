"""The inputs of the worst items of the damage report, beside the bundle's other files.

Shapes: W items.
"""

from pathlib import Path

import numpy as np

from diptych.core.errors import BundleError
from diptych.core.files import safe_join
from diptych.core.manifest import Manifest
from diptych.inference.npz import read_arrays, write_arrays

FILE_NAME = "damage.npz"
INPUTS = "inputs"


def build(inputs: np.ndarray) -> bytes:
    """Write the inputs of the worst items.

    Args:
        inputs: Raw inputs (W, ...), in the order of the report.

    Returns:
        The content of ``damage.npz``.
    """
    return write_arrays({INPUTS: inputs})


def read(folder: Path, manifest: Manifest) -> np.ndarray:
    """Read the inputs of a bundle's worst items.

    Args:
        folder: The bundle.
        manifest: What is in it.

    Returns:
        Raw inputs (W, ...) of the first W of the report's items; W is 0 where none were kept.

    Raises:
        BundleError: If they are not as the manifest says.
    """
    tensor = manifest.input.tensor()
    if FILE_NAME not in {file.path for file in manifest.files}:
        return np.empty((0, *(side or 0 for side in tensor.shape[1:])), tensor.dtype)
    found = read_arrays(safe_join(folder, FILE_NAME).read_bytes()).get(INPUTS, np.empty(0))
    known = 0 if manifest.damage is None else len(manifest.damage.items)
    if found.dtype != tensor.dtype or found.shape[1:] != tensor.shape[1:] or len(found) > known:
        raise BundleError(
            f"the worst items are {found.dtype} {found.shape}, not at most {known} of "
            f"{tensor.dtype} with {tensor.shape[1:]} each"
        )
    return found
