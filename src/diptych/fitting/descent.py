"""Down the ladder of students: from one that costs too much, and from one that keeps the budget."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from diptych.fitting.aim import aim_of, costs_too_much
from diptych.fitting.probing import Probe, affordable
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.search import Search
from diptych.fitting.trainee import Trainee

if TYPE_CHECKING:
    from diptych.fitting.session import FitSession


def go_down(session: "FitSession", probe: Probe) -> None:
    """Where the last student costs too much and misses nothing else, train those below it.

    The costliest of them that can keep the costs comes first; the others follow until one keeps
    them, or misses something else.

    Args:
        session: The fit, with its students trained.
        probe: Says what those below them cost.
    """
    cheaper, budget = session.recipe.cheaper, session.job.budget

    def is_needed() -> bool:
        return costs_too_much(session.candidates, session.trainer.trainees[1:], budget)

    def may_probe() -> bool:
        return session.time.may_probe() and not session.settings.stop

    if not cheaper or not is_needed():
        return
    for plan in affordable(cheaper, len(cheaper), budget, probe, may_probe):
        if not (is_needed() and session.has_time(plan)):
            return
        session.train_student(plan)


def search_below(session: "FitSession", train_to: Callable[[ModelPlan, int], Trainee]) -> None:
    """Where a student keeps the budget, train cheaper ones until one keeps it in its place.

    Args:
        session: The fit, with its students trained.
        train_to: Trains a plan up to an epoch at least, from where it was left.
    """
    dataset, trainer = session.job.dataset, session.trainer
    given = trainer.trainees[1:], session.recipe, session.job.budget, dataset.num_learned
    aim = aim_of(session.candidates, *given)
    if aim is None:
        return
    score, report = next(iter(session.candidates[0].scores)), session.settings.report
    items = len(dataset.validation)
    search = session.search = Search(aim, items, train_to, session.has_time, score, report)
    for plan in search.found(session.time.training_s(1), session.is_done):
        if session.has_time(plan):
            session.train_student(plan)
        if any(c.meets_budget for c in session.candidates if c.model == plan.name):
            break
    session.ahead.halt()
    for plan in session.ahead.begun_of(search.turns):
        search.leave(plan.name, trainer.left(plan))
