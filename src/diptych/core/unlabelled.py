"""Items without labels: what passes between the stages, and what a bundle says of them.

Shapes: N training items, U items without labels.
"""

from dataclasses import dataclass

import numpy as np

from diptych.core.specs import Value


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """Items without labels, which students learn a teacher's answers to.

    `joined` (N + U, ...) are the inputs of the training split and then theirs; `items` names each
    of the U, and `originals` are these as the source has them, where a teacher may need them.
    """

    joined: np.ndarray
    items: tuple[str, ...]
    originals: tuple[object, ...] | None = None

    @property
    def inputs(self) -> np.ndarray:
        """Theirs alone, (U, ...)."""
        return self.joined[len(self.joined) - len(self.items) :]


class UnlabelledRecord(Value):
    """Where items without labels came from.

    `sha256` is of the `count` items that were used; left out were `held_out`, which are in the
    validation or test split too, `known`, which are in the training split, and `skipped`, which
    cannot be read.
    """

    name: str
    sha256: str
    count: int
    held_out: int = 0
    known: int = 0
    skipped: int = 0
