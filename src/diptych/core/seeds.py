"""Seeds: one root seed gives every named stream of randomness its own, independent of order."""

import hashlib

import numpy as np

STEPS_AT_ONCE = 64


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


class StepSeeds:
    """The seeds of the steps of a stream.

    They are derived some at a time: hashing takes many times as long where what came before has
    driven its code out of the processor's cache.

    Args:
        seed: The root seed.
        names: The stream's name.
    """

    def __init__(self, seed: int, *names: str) -> None:
        self.seed, self.names = seed, names
        self._known: dict[int, int] = {}

    def at(self, step: int) -> int:
        """Give the seed of a step.

        Args:
            step: At least 0.

        Returns:
            What :func:`derive` gives for the stream's name and the step.
        """
        if step not in self._known:
            steps = range(step, step + STEPS_AT_ONCE)
            self._known = {each: derive(self.seed, *self.names, str(each)) for each in steps}
        return self._known[step]
