"""Who of several students of about one price learns best: successive halving.

What a budget allows may be wide or deep, or see pictures in less than their resolution; which of
these suits the data cannot be told before they learn. So rivals are trained for a ninth of their
epochs, the two best of them for a third, and the best one goes on where it was.

Source: K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", 2016.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from msgspec.structs import replace

from diptych.core.progress import Reporter, Step
from diptych.core.values import Dataset, GivenUp
from diptych.fitting.aim import Aim, scores_of
from diptych.fitting.building import network_maker
from diptych.fitting.ladder import RUNGS
from diptych.fitting.optional import optional
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.trainee import Trainee
from diptych.training.flops import forward_flops

STAGE = "contest"
MOST = 3
LEAST_SHARE = 0.5
LEFT = (2, 1)
"""How many go on after each of the first rungs."""


class Capacity(NamedTuple):
    """What a network computes for one item, in FLOPs, and how many weights it has."""

    flops: int
    parameters: int


Measure = Callable[[ModelPlan], Capacity]


def capacities(dataset: Dataset) -> Measure:
    """Make what says how large planned networks are.

    Args:
        dataset: What they will be trained on.

    Returns:
        The measure; it builds each network once.
    """
    known: dict[str, Capacity] = {}

    def measure(plan: ModelPlan) -> Capacity:
        if plan.name not in known:
            network = network_maker(plan, dataset)()
            parameters = sum(each.numel() for each in network.parameters())
            known[plan.name] = Capacity(forward_flops(network, dataset.spec), parameters)
        return known[plan.name]

    return measure


def rivals(plans: Sequence[ModelPlan], measure: Measure) -> tuple[ModelPlan, ...]:
    """Find those that may be better than the costliest though they compute less.

    Args:
        plans: At least one, the costliest first.
        measure: Says how large they are.

    Returns:
        The first one; and of those with at least half of its operations each that has more weights
        than all before it, three at most.
    """
    first = measure(plans[0])
    near = takewhile(lambda plan: measure(plan).flops >= LEAST_SHARE * first.flops, plans[1:])
    found, most = [plans[0]], first.parameters
    for plan in near:
        if measure(plan).parameters > most:
            found.append(plan)
            most = measure(plan).parameters
    return tuple(found[:MOST])


@dataclass
class Contest:
    """The rivals as far as they were trained, by name; and those that cannot be trained on."""

    paused: dict[str, Trainee] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def hold(
        self,
        plans: Sequence[ModelPlan],
        train: Callable[[ModelPlan, int], Trainee],
        has_time: Callable[[], bool],
        report: Reporter,
    ) -> ModelPlan:
        """Train rivals for a part of their epochs, and find the best.

        Args:
            plans: At least one, the costliest first.
            train: Trains a plan up to an epoch, from where it was left.
            has_time: Asked before each.
            report: Told how each one stands.

        Returns:
            The best by the validation split; the first of those that are alike, or of all where
            there is no score or no time. Whoever cannot be trained is left out.

        Raises:
            TrainingError: If none can be trained.
        """
        standing, count = list(plans), len(plans)
        reached: dict[str, tuple[float, float]] = {}
        for share, left in zip(RUNGS, LEFT, strict=False):
            for plan in standing[:count]:
                if not has_time():
                    return standing[0]
                epochs = max(1, math.ceil(share * plan.training.epochs))
                model: Trainee | None = None
                self.failed.add(plan.name)
                with optional(plan.name, len(standing) > 1, report):
                    model = self.paused[plan.name] = train(plan, epochs)
                if model is None:
                    standing.remove(plan)
                    continue
                self.failed.remove(plan.name)
                last = scores_of(model)[:epochs][-1:]
                if not last:
                    return standing[0]
                reached[plan.name] = share, last[0]
                note = f"{plan.name}: {100 * last[0]:.1f} % after {epochs} of "
                note += f"{plan.training.epochs:g} epochs"
                report(Step(stage=STAGE, done=1, total=1, note=note))
            standing.sort(key=lambda plan: reached[plan.name], reverse=True)
            count = left
        return standing[0]

    def left(
        self, trained: Sequence[Trainee], items: int
    ) -> dict[str, tuple[Trainee, GivenUp | None]]:
        """List those that were not trained to the end.

        Args:
            trained: Those that were: the teacher, then the best of the rivals.
            items: On how many scores are counted.

        Returns:
            By name; with what was expected of each beside the best, as far as that was trained.
        """
        names = {model.name for model in trained}
        left = {name: model for name, model in self.paused.items() if name not in names}
        best = trained[1] if len(trained) > 1 else trained[0]
        scores = scores_of(best)
        if best.name not in self.paused or not scores:
            return {name: (model, None) for name, model in left.items()}
        aim = Aim(reference=best, scores=scores, needed=scores[-1], plans=())
        return {
            name: (model, aim.give_up(model, items) if len(model.curve) <= len(scores) else None)
            for name, model in left.items()
        }


def settled(
    recipe: FitRecipe, best: ModelPlan, measure: Measure, failed: Collection[str] = ()
) -> FitRecipe:
    """Leave only the best of the rivals in a recipe.

    Args:
        recipe: With the rivals as students.
        best: One of them.
        measure: Says how large they are.
        failed: The names of those that cannot be trained.

    Returns:
        The recipe; whoever computes less than the best is there as `cheaper`, the costliest first,
        but for those that failed.
    """
    others = [p for p in (*recipe.students, *recipe.cheaper) if p.prune is None]
    able = [plan for plan in others if plan.name not in failed]
    less = [plan for plan in able if measure(plan).flops < measure(best).flops]
    less.sort(key=lambda plan: -measure(plan).flops)
    return replace(recipe.left_with((best,)), cheaper=tuple(less))
