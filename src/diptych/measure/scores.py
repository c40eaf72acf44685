"""Scores with intervals: the mean over items, and what a candidate loses against a reference.

What is right or wrong (bool) is a share; anything else (float) is a mean. Higher is better and
1 is the most that a mean can be.
"""

import numpy as np
from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.values import Estimate
from diptych.measure import means, proportions


def score(item_scores: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Estimate a score.

    Args:
        item_scores: bool or float (N,), one for each item; N >= 1.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        The mean: of bool with Wilson's interval, of float with Hall's, which ends at 1 and, where
        no item is below 0, at 0.
    """
    if item_scores.dtype == bool:
        right = int(np.count_nonzero(item_scores))
        return proportions.proportion(right, len(item_scores), confidence)
    estimate = means.mean(item_scores, confidence=confidence)
    if not estimate.n or not np.isfinite(estimate.low):
        return estimate
    least = 0.0 if item_scores.min() >= 0 else estimate.low
    most = 1.0 if estimate.value <= 1 else estimate.high
    return replace(estimate, low=max(estimate.low, least), high=min(estimate.high, most))


def drop(reference: np.ndarray, candidate: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Estimate how much score a candidate loses against a reference on the same items.

    Args:
        reference: bool or float (N,), the reference's score for each item.
        candidate: The same for the candidate, in the same order.
        confidence: Coverage of the two-sided interval, above 0 and below 1.

    Returns:
        Score of the reference minus score of the candidate: of bool with Tango's paired interval,
        of float with Hall's of the mean difference.
    """
    if _is_shares(reference, candidate):
        return proportions.paired_drop(reference, candidate, confidence)
    lost = _lost(reference, candidate)
    return means.mean(lost, span=_span(reference, candidate), confidence=confidence)


def samples_for_score(item_scores: np.ndarray, limit: float) -> int | None:
    """Say how many items would decide whether a score is on one side of a limit.

    Args:
        item_scores: bool or float (N,), seen so far.
        limit: The limit.

    Returns:
        About how many, if further items are like these; None where none would.
    """
    if item_scores.dtype != bool:
        return means.samples_for_mean(item_scores, limit)
    right = int(np.count_nonzero(item_scores))
    return proportions.samples_for_proportion(right, len(item_scores), limit)


def samples_for_drop(reference: np.ndarray, candidate: np.ndarray, limit: float) -> int | None:
    """Say how many items would decide whether a drop is on one side of a limit.

    Args:
        reference: bool or float (N,), the reference's score for each item.
        candidate: The same for the candidate, in the same order.
        limit: The limit of the drop.

    Returns:
        About how many, if further items are like these; None where none would.
    """
    if _is_shares(reference, candidate):
        return proportions.samples_for_drop(reference, candidate, limit)
    lost = _lost(reference, candidate)
    return means.samples_for_mean(lost, limit, span=_span(reference, candidate))


def _is_shares(reference: np.ndarray, candidate: np.ndarray) -> bool:
    return reference.dtype == bool and candidate.dtype == bool


def _lost(reference: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    if reference.ndim != 1 or reference.shape != candidate.shape or not reference.size:
        raise ConfigError(
            f"items of shapes {reference.shape} and {candidate.shape} cannot be paired",
            "give both models' scores of the same items, at least one",
        )
    return reference.astype(np.float64) - candidate.astype(np.float64)


def _span(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Return how much one item may lose: the range of the scores seen, at least 1."""
    both = np.concatenate([reference, candidate])
    return max(1.0, float(np.ptp(both))) if np.isfinite(both).all() else 1.0
