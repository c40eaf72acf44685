"""What a fit has so far: its programs compared, one of them chosen and measured."""

from functools import partial
from typing import TYPE_CHECKING

from diptych.core.values import Candidate
from diptych.fitting.assembly import Outcome, hash_items
from diptych.fitting.bounds import seconds_for_bound
from diptych.fitting.choice import choose, mark_passing
from diptych.fitting.comparison import Span, compare
from diptych.fitting.evidence import gather_evidence
from diptych.fitting.verdicts import Evidence

if TYPE_CHECKING:
    from diptych.fitting.session import FitSession

FEW_CALLS, FINAL_CALLS = 400, 3000


def take_stock(session: "FitSession", seconds: float, *, last: bool = False) -> Outcome:
    """Time all programs side by side, choose one, and measure it on the test split.

    Args:
        session: The fit, with at least one program; its candidates are those measured now.
        seconds: For all programs; slow ones have more, where there is time to spare.
        last: Whether nothing is trained any more.

    Returns:
        What the fit has.
    """
    budget, trainer, settings = session.job.budget, session.trainer, session.settings
    span = Span(
        seconds=seconds,
        spare_s=partial(_spare_s, session, last=last),
        seed=session.recipe.seed,
        report=settings.report,
    )
    rows = compare(session.trials, session.allowance(), session.candidates, span)
    candidates = session.candidates = mark_passing(rows, budget)
    chosen = choose(candidates, budget, session.noise or 0.0)
    session.time.put_aside(seconds_for_bound(chosen, budget))
    trained = trainer.trainees
    beaten = session.contest.left(trained, len(session.job.dataset.validation))
    names = {model.name for model in trained}
    given_up = session.search.left(names) if session.search else {}
    left = {**beaten, **given_up}.values()
    return Outcome(
        recipe=session.recipe.followed([each.plan for each in (*trained, *session.refined)]),
        trainees=(*trained, *session.refined, *(model for model, _ in left)),
        given_up=tuple(u for _, u in left if u and u.epochs < u.planned_epochs),
        untrained=session.untrained,
        noise_floor=session.noise,
        trials=tuple(session.trials),
        candidates=candidates,
        chosen=chosen,
        evidence=evidence_of(session, chosen, seconds, last=last),
        interrupted=bool(settings.stop),
        calibration_sha256=hash_items(session.calibration),
    )


def evidence_of(
    session: "FitSession", candidate: Candidate, seconds: float, *, last: bool = False
) -> Evidence:
    """Measure a program on the test split.

    Args:
        session: The fit.
        candidate: What its program showed on the validation split.
        seconds: When to stop timing; a slow one has more, where there is time to spare. At the end
            it is no longer than what was put aside for it or is spare by now.
        last: Whether nothing is trained any more.

    Returns:
        The evidence, without new processes.
    """
    trial = next(t for t in session.trials if t.name == candidate.name)
    needed_s = seconds_for_bound(candidate, session.job.budget)
    spare_s = _spare_s(session, last=last)
    if last:
        seconds = min(seconds, max(session.time.final_timing_s, spare_s))
    return gather_evidence(
        trial,
        session.job.dataset,
        session.teacher_outputs["test"],
        calls=FINAL_CALLS if last else FEW_CALLS,
        seconds=max(seconds, min(needed_s, spare_s)),
    )


def _spare_s(session: "FitSession", *, last: bool) -> float:
    return 0.0 if session.settings.stop else session.time.spare_s(last=last)
