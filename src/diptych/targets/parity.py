"""Parity: does a lowered program compute what the network computed?

Shapes: N items, K classes.
"""

import math
from dataclasses import dataclass

import numpy as np

from diptych.core.errors import TargetError
from diptych.core.values import Precision

UNFAITHFUL_SHARE = 0.1
SHARES: dict[Precision, float] = {
    "fp32": 1e-3,
    "fp16": 1e-3,
    "bf16": 0.02,
    "int8": 0.02,
    "int8-weights": 0.02,
    "int4-weights": 0.02,
}
"""Of the logits' range: what the same program may differ by on another machine."""
FAITHFUL_SHARES: dict[Precision, float] = {"fp32": 1e-3, "fp16": 0.01, "bf16": 0.1}
"""Of the logits' range: what a program in float may differ by from the network."""
LEAST_SPREAD = 2e-4
"""Of the largest logit: of a range as small, a thousandth is three roundings in float32."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far a program's logits are from the network's, over n items.

    `max_difference` is the largest in any logit; `flips` counts items that change their label.
    """

    max_difference: float
    flips: int
    n: int


def compare(reference: np.ndarray, candidate: np.ndarray) -> Parity:
    """Compare a program's logits with the network's.

    Args:
        reference: The network's logits (N, K).
        candidate: The program's logits on the same items (N, K).

    Returns:
        The differences.

    Raises:
        TargetError: If the shapes differ, there are no items, or a logit is not finite.
    """
    if candidate.shape != reference.shape or reference.ndim != 2 or not reference.size:
        raise TargetError(f"logits have shape {candidate.shape}, the network's {reference.shape}")
    if not (np.isfinite(reference).all() and np.isfinite(candidate).all()):
        raise TargetError("a logit is not a finite number", "train with a lower learning rate")
    return Parity(
        max_difference=float(np.abs(candidate - reference).max()),
        flips=int((candidate.argmax(axis=1) != reference.argmax(axis=1)).sum()),
        n=len(reference),
    )


def check(reference: np.ndarray, candidate: np.ndarray, precision: Precision) -> Parity:
    """Compare, and refuse a program in float that computes something else.

    Args:
        reference: The network's logits (N, K).
        candidate: The program's logits on the same items (N, K).
        precision: The program's; where it rounds to 8 bits or fewer logits may differ by any
            amount, for accuracy decides.

    Returns:
        The differences.

    Raises:
        TargetError: If a logit differs by more than a thousandth of the logits' range in fp32, a
            hundredth in fp16, a tenth in bf16.
    """
    parity = compare(reference, candidate)
    allowed = FAITHFUL_SHARES.get(precision, math.inf) * _spread(reference)
    if parity.max_difference > allowed:
        raise TargetError(
            f"the lowered program computes something else: its logits differ by up to "
            f"{parity.max_difference:.3g} (allowed {allowed:.3g}), and {parity.flips} of "
            f"{parity.n} items change their label",
            "please report it with the network",
        )
    return parity


def is_faithful(reference: np.ndarray, candidate: np.ndarray) -> bool:
    """Say whether an int8 program computes what the network with rounded numbers computed.

    Ours differed by up to 1.2 % of the logits' range, ONNX Runtime's and OpenVINO's alike;
    OpenVINO's with kernels that saturate would by up to 6 %. OpenVINO also turned a pattern of
    operations into another that differed by 37 % to 97 %.

    Args:
        reference: The logits (N, K) of the network, its numbers rounded as the program's.
        candidate: The program's logits on the same items (N, K).

    Returns:
        Whether no logit differs by more than a tenth of the logits' range.
    """
    allowed = UNFAITHFUL_SHARE * _spread(reference)
    return compare(reference, candidate).max_difference <= allowed


def tolerance(logits: np.ndarray, precision: Precision) -> float:
    """Give the difference that a program's golden logits may show on another machine.

    A thousandth of the logits' range in fp32. In int8 a fiftieth: other kernels round to the
    neighboring level, and ONNX Runtime's float emulation differed by 0.2 % of the range from its
    int8 kernels, so ten times that is allowed. Kernels that cut sums by more (AVX2 without VNNI)
    are refused, for the accuracy measured here is not theirs.

    Args:
        logits: The program's or the network's logits (N, K).
        precision: The program's.

    Returns:
        The tolerance, in logits.
    """
    return SHARES[precision] * _spread(logits)


def _spread(logits: np.ndarray) -> float:
    """Return the logits' range; more where they hardly differ, as those of a regression may."""
    return max(float(logits.max() - logits.min()), LEAST_SPREAD * float(np.abs(logits).max()))
