"""The budget decided for the chosen model, on the test split and with fresh timings."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from msgspec.structs import replace

from diptych.core.values import Energy, Estimate, Outcome, Verdict
from diptych.fitting.budget import MAIN_SCORE, Budget, Term
from diptych.measure.decisions import decide, exact
from diptych.measure.means import unknown
from diptych.measure.quantiles import quantile, samples_for_quantile
from diptych.measure.scores import drop, samples_for_drop, samples_for_score
from diptych.tasks.goals import GoalKind


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was measured of the chosen model, outside the data that chose it.

    `teacher_outputs` and `outputs` are float32 (N, K) over the test split, whose targets are
    `targets` (N, ...); `latencies_ms` float (M,) of single predictions; `cold_ms` and
    `memory_bytes` are of new processes. Of a program that cannot run here, for the reason that
    `unverified` gives, there are no latencies, and its answers are those of a stand-in. Of one that
    computes `on_gpu`, energy and cost are the processor's part.
    """

    kind: GoalKind
    targets: np.ndarray
    teacher_outputs: np.ndarray
    outputs: np.ndarray
    latencies_ms: np.ndarray
    size_bytes: int
    energy: Energy
    cost_usd_per_million: float
    cold_ms: np.ndarray | None = None
    memory_bytes: np.ndarray | None = None
    unverified: str = ""
    on_gpu: bool = False

    @cached_property
    def item_scores(self) -> np.ndarray:
        """How well each test item was told, (N,); the mean is the main score."""
        return self.kind.item_scores(self.outputs, self.targets)

    @cached_property
    def teacher_scores(self) -> np.ndarray:
        """The same of the teacher."""
        return self.kind.item_scores(self.teacher_outputs, self.targets)


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


def verdict_of(term: Term, estimate: Estimate) -> Verdict:
    """Decide a term by an estimate.

    Args:
        term: The limit.
        estimate: Of what it limits, in its unit.

    Returns:
        The verdict.
    """
    return Verdict(
        name=term.name,
        relation=term.relation,
        limit=term.limit,
        unit=term.unit,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        verdict=decide(estimate, term.relation, term.limit),
        method=estimate.method,
    )


def _verdict(term: Term, evidence: Evidence) -> Verdict:
    given = verdict_of(term, _estimate(term, evidence))
    needed = _samples_needed(term, evidence) if given.verdict == "CANNOT TELL" and given.n else None
    return replace(given, samples_needed=needed, label=_label(term, evidence))


def _estimate(term: Term, evidence: Evidence) -> Estimate:
    name = evidence.kind.score if term.name == MAIN_SCORE else term.name
    metric = evidence.kind.metrics.get(name)
    if metric is not None:
        return metric(evidence.outputs, evidence.targets)
    if evidence.unverified and term.name not in KNOWN_OF_FILES:
        return unmeasured(evidence.unverified)
    estimate = ESTIMATES[term.name](evidence)
    return at_least(estimate) if evidence.on_gpu and term.name in KNOWN_IN_PART else estimate


def _label(term: Term, evidence: Evidence) -> str | None:
    if evidence.unverified:
        return None
    return {"energy": evidence.energy.label, "cost": "declared"}.get(term.name)


def _samples_needed(term: Term, evidence: Evidence) -> int | None:
    if term.name in {MAIN_SCORE, evidence.kind.score}:
        return samples_for_score(evidence.item_scores, term.limit)
    if term.name == "drop":
        return samples_for_drop(evidence.teacher_scores, evidence.item_scores, term.limit)
    samples = {
        "p50": evidence.latencies_ms,
        "p99": evidence.latencies_ms,
        "cold": evidence.cold_ms,
        "memory": evidence.memory_bytes,
    }.get(term.name)
    if samples is None:
        return None
    return samples_for_quantile(samples, 0.99 if term.name == "p99" else 0.5, term.limit)


def scores(kind: GoalKind, outputs: np.ndarray, targets: np.ndarray) -> dict[str, Estimate]:
    """Estimate every score of a goal.

    Args:
        kind: The goal.
        outputs: float32 (N, K).
        targets: (N, ...).

    Returns:
        The scores by name, the main one first.
    """
    return {name: metric(outputs, targets) for name, metric in kind.metrics.items()}


def cold(evidence: Evidence) -> Estimate:
    """Estimate the cold start: a new process loads and predicts once.

    Args:
        evidence: What was measured.

    Returns:
        The median in milliseconds; without runs nothing is known.
    """
    if evidence.cold_ms is None:
        return unknown("not measured")
    return quantile(evidence.cold_ms, 0.5)


def memory(evidence: Evidence) -> Estimate:
    """Give the largest resident memory of a process that loads and predicts.

    Args:
        evidence: What was measured.

    Returns:
        The median in bytes, of six processes or more with an interval.
    """
    if evidence.memory_bytes is None:
        return unknown("not measured")
    median = quantile(evidence.memory_bytes, 0.5)
    return replace(median, method=f"peak resident memory of new processes, {median.method}")


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


def at_least(estimate: Estimate) -> Estimate:
    """Take what is known of a processor for the least that it is with a GPU, which nobody measured.

    Args:
        estimate: Energy or cost.

    Returns:
        The same without an upper bound.
    """
    return replace(estimate, high=math.inf, method=f"{estimate.method}, of the processor only")


def unmeasured(reason: str) -> Estimate:
    """Give the estimate of what was not measured.

    Args:
        reason: Why.

    Returns:
        An estimate without bounds, of which nothing can be told.
    """
    return unknown(f"not measured: {reason}")


def unknown_energy(reason: str) -> Energy:
    """Give the energy of what was not measured.

    Args:
        reason: Why.

    Returns:
        From 0 on, without an upper bound.
    """
    method = unmeasured(reason).method
    return Energy(value_j=0.0, low_j=0.0, high_j=np.inf, label="modelled", method=method)


KNOWN_OF_FILES = {"drop", "size"}
"""The terms beside scores that are known of a program wherever it runs."""
KNOWN_IN_PART = {"energy", "cost"}
"""The terms of which a program that computes on a GPU shows the processor's part."""
ESTIMATES: Mapping[str, Callable[[Evidence], Estimate]] = {
    "drop": lambda e: drop(e.teacher_scores, e.item_scores),
    "p50": lambda e: quantile(e.latencies_ms, 0.5),
    "p99": lambda e: quantile(e.latencies_ms, 0.99),
    "size": lambda e: exact(e.size_bytes, "size of the program's files"),
    "memory": memory,
    "energy": lambda e: millijoules(e.energy, len(e.latencies_ms)),
    "cost": lambda e: exact(e.cost_usd_per_million, "CPU time at a declared price"),
    "cold": cold,
}
