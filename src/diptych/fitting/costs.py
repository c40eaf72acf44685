"""What a candidate costs, and all else that is known of it before it is a bundle."""

from collections.abc import Callable
from typing import Protocol

from diptych.core.values import Candidate, Energy, Estimate
from diptych.fitting.budget import MAIN_SCORE
from diptych.fitting.verdicts import (
    KNOWN_IN_PART,
    KNOWN_OF_FILES,
    at_least,
    millijoules,
    unmeasured,
)
from diptych.inference.runtimes import RUNTIMES
from diptych.measure.decisions import exact


class Costs(Protocol):
    """What a program costs, whatever its weights are."""

    @property
    def p50_ms(self) -> Estimate:
        """The median latency."""
        ...

    @property
    def p99_ms(self) -> Estimate:
        """The latency that 99 % of calls keep."""
        ...

    @property
    def size_bytes(self) -> int:
        """The size of the files."""
        ...

    @property
    def energy(self) -> Energy:
        """The energy of a prediction."""
        ...

    @property
    def cost_usd_per_million(self) -> float:
        """Dollars per million predictions."""
        ...


COSTS: dict[str, Callable[[Costs], Estimate]] = {
    "p50": lambda c: c.p50_ms,
    "p99": lambda c: c.p99_ms,
    "size": lambda c: exact(c.size_bytes, "size of the program's files"),
    "energy": lambda c: millijoules(c.energy, c.p50_ms.n),
    "cost": lambda c: exact(c.cost_usd_per_million, "CPU time at a declared price"),
}
"""The terms that do not depend on what weights are."""

MEASURED: dict[str, Callable[[Candidate], Estimate]] = {"drop": lambda c: c.drop, **COSTS}
"""The terms that are known of a candidate before it is a bundle."""


def measured(candidate: Candidate, name: str) -> Estimate | None:
    """Look up what is known of a candidate before it is a bundle.

    Args:
        candidate: A measured candidate.
        name: A term's name.

    Returns:
        The number with its interval; None where it is not known yet.
    """
    if name == MAIN_SCORE:
        return candidate.score
    if candidate.unverified and name in COSTS and name not in KNOWN_OF_FILES:
        return unmeasured(candidate.unverified)
    if name in candidate.scores:
        return candidate.scores[name]
    read = MEASURED.get(name)
    if read is None:
        return None
    in_part = name in KNOWN_IN_PART and RUNTIMES[candidate.runtime].needs_gpu
    return at_least(read(candidate)) if in_part else read(candidate)
