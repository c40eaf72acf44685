"""When cheaper students are tried, and what they have to reach if one keeps the budget already."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from diptych.core.values import Candidate, Estimate, GivenUp
from diptych.fitting.budget import MAIN_SCORE, Budget, Term
from diptych.fitting.choice import choose, outcomes
from diptych.fitting.costs import COSTS, measured
from diptych.fitting.forecast import CONFIDENCE, UNKNOWN, Forecast, forecast
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.trainee import Trainee


@dataclass(frozen=True, kw_only=True)
class Aim:
    """A student that keeps the budget, and the cheaper ones that may take its place.

    `scores` are the reference's, after each epoch; `needed` is with what another one would just
    keep the budget; `plans`, the costliest first, are trained for as long as the reference.
    """

    reference: Trainee
    scores: tuple[float, ...]
    needed: float
    plans: tuple[ModelPlan, ...]

    def epochs(self, share: float) -> int:
        """Say after how many epochs a share of a training is over.

        Args:
            share: From 0 to 1.

        Returns:
            At least 1.
        """
        return epochs_at(share, self.scores)

    def expect(self, model: Trainee, items: int) -> Forecast:
        """Say what a model that is paused will end with.

        Args:
            model: One of `plans`, trained for a part.
            items: On how many scores were counted.

        Returns:
            The forecast of its main score.
        """
        return expected_of(model, self.scores, items)

    def give_up(self, model: Trainee, items: int) -> GivenUp:
        """Write down what was expected of a model that is not trained to the end.

        Args:
            model: One of `plans`, trained for a part.
            items: On how many scores were counted.

        Returns:
            The record.
        """
        expected = self.expect(model, items)
        return GivenUp(
            model=model.name,
            epochs=len(model.curve),
            planned_epochs=len(self.scores),
            expected=Estimate(
                value=expected.value,
                low=expected.low,
                high=expected.high,
                n=items,
                method=f"errors so far beside those of {self.reference.name}",
                confidence=CONFIDENCE,
            ),
            needed=self.needed,
        )


def aim_of(
    candidates: Sequence[Candidate],
    students: Sequence[Trainee],
    recipe: FitRecipe,
    budget: Budget,
    items: int,
) -> Aim | None:
    """Say what cheaper students have to reach.

    Args:
        candidates: All so far.
        students: Those that were trained.
        recipe: With the cheaper ones.
        budget: The limits.
        items: How many there are to train on.

    Returns:
        None where none are left, where no student keeps the budget but pruned ones, or where a
        better score is always wanted.
    """
    whole = {model.name: model for model in students if model.plan.prune is None}
    passing = [c for c in candidates if c.meets_budget and c.model in whole]
    cheaper = below(recipe.cheaper, whole)
    if not cheaper or not passing:
        return None
    best = min(passing, key=lambda candidate: candidate.cost_usd_per_million)
    reference, spare = whole[best.model], slack(best, budget)
    scores = scores_of(reference)
    if spare is None or not scores:
        return None
    epochs = reference.plan.training.epochs
    if reference.plan.training.replans:
        batch_size = min(reference.plan.training.batch_size, items)
        epochs = reference.samples / (items // batch_size * batch_size)
    plans = [replace(p, training=replace(p.training, epochs=epochs)) for p in cheaper]
    needed = scores[-1] - spare
    return Aim(reference=reference, scores=scores, needed=needed, plans=tuple(plans))


def below(cheaper: Sequence[ModelPlan], trained: Collection[str]) -> tuple[ModelPlan, ...]:
    """Say who is left of a ladder of students.

    Args:
        cheaper: The costliest first.
        trained: The names of those that were trained.

    Returns:
        Those below the last one that was.
    """
    places = [place for place, plan in enumerate(cheaper, 1) if plan.name in trained]
    return tuple(cheaper[max(places, default=0) :])


def costs_too_much(
    candidates: Sequence[Candidate], students: Sequence[Trainee], budget: Budget
) -> bool:
    """Say whether the last student misses what a budget says of costs, and nothing else.

    Args:
        candidates: All so far.
        students: Those that were trained.
        budget: The limits.

    Returns:
        By its best program. False too where another student keeps the budget, and where a cost is
        not known, as of what cannot run here or was timed for too few calls.
    """
    whole = [model.name for model in students if model.plan.prune is None]
    own = [candidate for candidate in candidates if candidate.model in whole[-1:]]
    if not own or any(c.meets_budget for c in candidates if c.model in whole):
        return False
    best = choose(own, budget)
    decided = outcomes(best, budget)
    missed = [term for term in budget.terms if decided.get(term.name, "PASS") != "PASS"]
    return bool(missed) and all(_is_missed_cost(best, term) for term in missed)


def epochs_at(share: float, reference: Sequence[float]) -> int:
    """Say after how many epochs a share of a training is over.

    Args:
        share: From 0 to 1.
        reference: The scores of the whole training's epochs.

    Returns:
        At least 1.
    """
    return max(1, math.ceil(share * len(reference)))


def expected_of(model: Trainee, reference: Sequence[float], items: int) -> Forecast:
    """Say what a model that is paused will end with.

    Args:
        model: Trained for a part.
        reference: The scores of another one's epochs, which was trained to the end.
        items: On how many scores were counted.

    Returns:
        The forecast of its main score.
    """
    scores = scores_of(model)
    return forecast(scores, reference, items) if scores else UNKNOWN


def slack(candidate: Candidate, budget: Budget) -> float | None:
    """Say by how much a candidate's main score could be lower without missing the budget.

    Args:
        candidate: One that keeps it.
        budget: The limits.

    Returns:
        The least by the terms that limit the main score, or its drop; None if there are none.
    """
    spare = [
        term.limit - candidate.drop.high
        if term.name == "drop"
        else candidate.score.low - term.limit
        for term in budget.terms
        if term.name in {"drop", MAIN_SCORE, next(iter(candidate.scores))}
    ]
    return min(spare, default=None)


def scores_of(model: Trainee) -> tuple[float, ...]:
    """List the scores of a model's epochs.

    Args:
        model: Trained for a part or to the end.

    Returns:
        The main score after each; none where it was not scored, or not below 1.
    """
    scores = [point.score for point in model.curve]
    known = tuple(score for score in scores if score is not None and score <= 1)
    return known if len(known) == len(scores) else ()


def _is_missed_cost(candidate: Candidate, term: Term) -> bool:
    """Say whether a term is one of costs, and more is known of it than that it may be missed."""
    known = measured(candidate, term.name) if term.name in COSTS else None
    return known is not None and (known.value > term.limit or math.isfinite(known.high))
