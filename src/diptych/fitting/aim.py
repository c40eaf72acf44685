"""What cheaper students have to reach, where there is one already that keeps the budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from diptych.core.values import Candidate, Estimate, GivenUp
from diptych.fitting.budget import MAIN_SCORE, Budget
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
        None where there are none, where no student keeps the budget but pruned ones, or where a
        better score is always wanted.
    """
    whole = {model.name: model for model in students if model.plan.prune is None}
    passing = [c for c in candidates if c.meets_budget and c.model in whole]
    if not recipe.cheaper or not passing:
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
    plans = [replace(p, training=replace(p.training, epochs=epochs)) for p in recipe.cheaper]
    needed = scores[-1] - spare
    return Aim(reference=reference, scores=scores, needed=needed, plans=tuple(plans))


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
