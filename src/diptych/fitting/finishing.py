"""The end of a fit: its choice measured at length and in new processes, and the final bundle.

Memory and cold start are known of no candidate before, for each takes new processes. They depend on
the runtime most of all: where the choice does not surely keep what the budget says of them, the
best candidates of other runtimes are started too, and the first that does is chosen.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from diptych.core.progress import Step
from diptych.core.values import Candidate
from diptych.fitting.assembly import Outcome, write_bundle
from diptych.fitting.budget import Budget
from diptych.fitting.choice import choose
from diptych.fitting.evidence import with_starts
from diptych.fitting.noise import noise_floor
from diptych.fitting.stock import evidence_of, take_stock
from diptych.fitting.timetable import FINAL_TIMING_S, LEAST_TRAINING_S, TIMING_S
from diptych.fitting.verdicts import Evidence, give_verdicts

if TYPE_CHECKING:
    from diptych.fitting.session import FitSession

OF_STARTS = frozenset(("memory", "cold"))


def finish_fit(session: "FitSession") -> None:
    """Measure the choice at length and in new processes, and write the final bundle.

    Args:
        session: The fit, with all its programs tried.
    """
    settings, time = session.settings, session.time
    best = choose(session.candidates, session.job.budget)
    if best.meets_budget and not (best.unverified or settings.stop):
        trial = next(t for t in session.trials if t.name == best.name)
        inputs = session.job.dataset.validation.inputs
        session.noise = noise_floor(trial, inputs, time.final_timing_s)
    seconds = min(time.final_timing_s, FINAL_TIMING_S)  # who asked to stop waits no longer
    if not settings.stop:
        spare_s = (time.training_s(1) - LEAST_TRAINING_S) / 2
        seconds = max(time.final_timing_s, min(len(session.trials) * TIMING_S, spare_s))
    outcome = take_stock(session, seconds, last=True)
    if not (settings.stop or outcome.evidence.unverified):
        outcome = _with_kept_starts(session, _started(session, outcome), seconds)
    write_bundle(session.job, outcome, with_page=True, report=settings.report)


def _with_kept_starts(session: "FitSession", outcome: Outcome, seconds: float) -> Outcome:
    """Choose another runtime's program where memory or cold start does not surely keep a limit."""
    first, tried = outcome, {outcome.chosen.runtime}
    while not _keeps_starts(session.job.budget, outcome.evidence):
        others = [c for c in first.candidates if _may_replace(c) and c.runtime not in tried]
        if not others or session.settings.stop or not session.time.spare_s(last=True):
            return first
        other = choose(others, session.job.budget, session.noise or 0.0)
        tried.add(other.runtime)
        note = f"{outcome.chosen.name} may miss memory or cold start: {other.name} is started"
        session.settings.report(Step(stage="cold start", done=1, total=1, note=note))
        evidence = evidence_of(session, other, seconds, last=True)
        outcome = _started(session, replace(first, chosen=other, evidence=evidence))
    return outcome


def _may_replace(candidate: Candidate) -> bool:
    return candidate.meets_budget and not candidate.unverified


def _keeps_starts(budget: Budget, evidence: Evidence) -> bool:
    terms = tuple(term for term in budget.terms if term.name in OF_STARTS)
    verdicts = give_verdicts(Budget(terms=terms), evidence)
    return all(each.verdict == "PASS" for each in verdicts)


def _started(session: "FitSession", outcome: Outcome) -> Outcome:
    """Write a bundle, load it and predict once in new processes."""
    write_bundle(session.job, outcome)
    given = session.job.destination, session.settings.report, session.time.is_late
    return replace(outcome, evidence=with_starts(outcome.evidence, *given))
