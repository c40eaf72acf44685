"""Seeds: one root seed gives every named stream of randomness its own, independent of order."""

import hashlib

import numpy as np


def derive(seed: int, *names: str) -> int:
    """Derive the seed of a named stream.

    Args:
        seed: The root seed.
        names: The stream's name, such as ``"student", "shuffle"``.

    Returns:
        A seed in [0, 2**63).
    """
    key = "/".join((str(seed), *names)).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "little") >> 1


def generator(seed: int, *names: str) -> np.random.Generator:
    """Make the NumPy generator of a named stream.

    Args:
        seed: The root seed.
        names: The stream's name.

    Returns:
        A generator seeded by :func:`derive`.
    """
    return np.random.default_rng(derive(seed, *names))
