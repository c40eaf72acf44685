"""Fingerprints: which data this is, and which items two splits share."""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from diptych.core import arrays
from diptych.core.values import Split


def sha256_of_splits(labels: Sequence[str], splits: Mapping[str, Split]) -> str:
    """Hash what training, choosing and testing will see.

    Args:
        labels: The names of the classes.
        splits: The prepared splits; their order does not matter, that of their items does.

    Returns:
        64 lower-case hexadecimal digits.
    """
    digest = hashlib.sha256(msgspec.json.encode(list(labels)))
    for name in sorted(splits):
        split = splits[name]
        digest.update(f"{name} {split.inputs.dtype.str} {split.inputs.shape}".encode())
        for part in arrays.parts(split.inputs):
            digest.update(np.ascontiguousarray(part).data)
        exact = "<i8" if split.targets.dtype.kind in "iu" else "<f4"
        digest.update(np.ascontiguousarray(split.targets, dtype=exact).data)
    return digest.hexdigest()


def count_shared(splits: Mapping[str, Split]) -> dict[tuple[str, str], int]:
    """Count items that are in two splits, by hashes of what was prepared.

    Args:
        splits: The prepared splits.

    Returns:
        For each pair of names, in order: how many items of the later one are in the earlier one
        too; pairs that share nothing are left out.
    """
    found = {name: digests(split.inputs) for name, split in splits.items()}
    names = list(splits)
    shared = {}
    for place, later in enumerate(names):
        for earlier in names[:place]:
            if count := int(np.isin(found[later], found[earlier]).sum()):
                shared[earlier, later] = count
    return shared


def digests(inputs: np.ndarray) -> np.ndarray:
    """Hash items.

    Args:
        inputs: Prepared items (N, ...).

    Returns:
        uint64 (N,): of ten million items, two that differ agree once in 400,000 sets.
    """
    found = bytearray()
    for part in arrays.parts(inputs):
        for row in np.ascontiguousarray(part):
            found += hashlib.blake2b(row.data, digest_size=8).digest()
    return np.frombuffer(found, np.uint64)
