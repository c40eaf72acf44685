"""The budget decided for the chosen model, on the test split and with fresh timings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from diptych.core.values import Energy, Estimate, Outcome, Verdict
from diptych.fitting.budget import Budget, Term
from diptych.measure.decisions import decide, exact
from diptych.measure.proportions import (
    paired_drop,
    proportion,
    samples_for_drop,
    samples_for_proportion,
)
from diptych.measure.quantiles import quantile, samples_for_quantile


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was measured of the chosen model, outside the data that chose it.

    `teacher_right` and `right` are bool (N,) over the test split; `latencies_ms` float (M,) of
    single predictions; `cold_ms` and `memory_bytes` are of new processes.
    """

    teacher_right: np.ndarray
    right: np.ndarray
    latencies_ms: np.ndarray
    size_bytes: int
    energy: Energy
    cost_usd_per_million: float
    cold_ms: np.ndarray | None = None
    memory_bytes: np.ndarray | None = None


def give_verdicts(budget: Budget, evidence: Evidence) -> tuple[Verdict, ...]:
    """Decide every term of a budget.

    Args:
        budget: The limits.
        evidence: What was measured.

    Returns:
        One verdict per term, in the budget's order.
    """
    return tuple(_verdict(term, evidence) for term in budget.terms)


def overall(verdicts: tuple[Verdict, ...]) -> Outcome:
    """Sum verdicts up.

    Args:
        verdicts: One per term.

    Returns:
        FAIL if any term fails, else CANNOT TELL if any cannot be told, else PASS.
    """
    seen = {verdict.verdict for verdict in verdicts}
    if "FAIL" in seen:
        return "FAIL"
    return "CANNOT TELL" if "CANNOT TELL" in seen else "PASS"


def _verdict(term: Term, evidence: Evidence) -> Verdict:
    estimate = ESTIMATES[term.name](evidence)
    outcome = decide(estimate, term.relation, term.limit)
    needed = _samples_needed(term, evidence) if outcome == "CANNOT TELL" else None
    return Verdict(
        name=term.name,
        relation=term.relation,
        limit=term.limit,
        unit=term.unit,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        verdict=outcome,
        method=estimate.method,
        samples_needed=needed,
        label=_label(term, evidence),
    )


def _label(term: Term, evidence: Evidence) -> str | None:
    return {"energy": evidence.energy.label, "cost": "declared"}.get(term.name)


def _samples_needed(term: Term, evidence: Evidence) -> int | None:
    right = evidence.right
    match term.name:
        case "drop":
            return samples_for_drop(evidence.teacher_right, right, term.limit)
        case "accuracy":
            return samples_for_proportion(int(right.sum()), len(right), term.limit)
        case "p50":
            return samples_for_quantile(evidence.latencies_ms, 0.5, term.limit)
        case "p99":
            return samples_for_quantile(evidence.latencies_ms, 0.99, term.limit)
        case "cold" if evidence.cold_ms is not None:
            return samples_for_quantile(evidence.cold_ms, 0.5, term.limit)
        case _:
            return None


def accuracy(evidence: Evidence) -> Estimate:
    """Estimate the accuracy on the test split.

    Args:
        evidence: What was measured.

    Returns:
        The share of items that were right.
    """
    return proportion(int(evidence.right.sum()), len(evidence.right))


def cold(evidence: Evidence) -> Estimate:
    """Estimate the cold start: a new process loads and predicts once.

    Args:
        evidence: What was measured.

    Returns:
        The median in milliseconds; without runs nothing is known.
    """
    if evidence.cold_ms is None:
        return _unknown("not measured")
    return quantile(evidence.cold_ms, 0.5)


def memory(evidence: Evidence) -> Estimate:
    """Give the largest resident memory of a process that loads and predicts.

    Args:
        evidence: What was measured.

    Returns:
        Bytes, with the smallest and largest of the runs as bounds.
    """
    peaks = evidence.memory_bytes
    if peaks is None:
        return _unknown("not measured")
    return Estimate(
        value=float(np.median(peaks)),
        low=float(peaks.min()),
        high=float(peaks.max()),
        n=len(peaks),
        method="peak resident memory of new processes, range",
    )


def millijoules(energy: Energy, n: int) -> Estimate:
    """Give the energy of a prediction in the budget's unit.

    Args:
        energy: The energy of one prediction.
        n: How many predictions it was had from.

    Returns:
        Millijoules; the interval is the bounds of the energy, not a spread.
    """
    return Estimate(
        value=1e3 * energy.value_j,
        low=1e3 * energy.low_j,
        high=1e3 * energy.high_j,
        n=n,
        method=energy.method,
    )


def _unknown(method: str) -> Estimate:
    return Estimate(value=0.0, low=-np.inf, high=np.inf, n=0, method=method)


ESTIMATES: Mapping[str, Callable[[Evidence], Estimate]] = {
    "drop": lambda e: paired_drop(e.teacher_right, e.right),
    "accuracy": accuracy,
    "p50": lambda e: quantile(e.latencies_ms, 0.5),
    "p99": lambda e: quantile(e.latencies_ms, 0.99),
    "size": lambda e: exact(e.size_bytes, "size of the program's files"),
    "memory": memory,
    "energy": lambda e: millijoules(e.energy, len(e.latencies_ms)),
    "cost": lambda e: exact(e.cost_usd_per_million, "CPU time at a declared price"),
    "cold": cold,
}
