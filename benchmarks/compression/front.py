"""Who is beaten by whom: programs compared in accuracy, latency and size.

One program beats another if it is worse in nothing and better in something. A difference that the
test items or this machine cannot tell is none: of accuracy, one whose paired 95 % interval holds 0;
of latency, one no larger than those between a program and itself. Sizes are
exact. What a tool took to make a program is told, but a program is not worse for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from diptych.measure.scores import drop


@dataclass(frozen=True)
class Measured:
    """A program: which test items it told right, bool (N,), its median in ms, its bytes."""

    right: np.ndarray
    p50_ms: float
    size_bytes: int


def beats(one: Measured, other: Measured, noise: float) -> bool:
    """Say whether `one` beats `other`; `noise` is a ratio of latencies that means nothing."""
    signs = (accuracy_sign(one, other), latency_sign(one, other, noise), size_sign(one, other))
    return min(signs) >= 0 and max(signs) > 0


def accuracy_sign(one: Measured, other: Measured) -> int:
    lost = drop(other.right, one.right)
    return int(lost.high < 0) - int(lost.low > 0)


def latency_sign(one: Measured, other: Measured, noise: float) -> int:
    ratio = other.p50_ms / one.p50_ms
    return int(ratio > noise) - int(ratio < 1 / noise)


def size_sign(one: Measured, other: Measured) -> int:
    return int(np.sign(other.size_bytes - one.size_bytes))


def beaten_by(name: str, programs: Mapping[str, Measured], noise: float) -> list[str]:
    """List the programs that beat one."""
    return [who for who, each in programs.items() if beats(each, programs[name], noise)]
