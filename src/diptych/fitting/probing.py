"""What planned students would cost, before they are trained.

Latency, size, energy and cost do not depend on what weights are, so a network with its first ones
is lowered and timed like any other, and only those that can keep the budget are trained.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from torch import nn

from diptych.core.errors import TargetError
from diptych.core.progress import Reporter, Step
from diptych.core.values import Dataset, Energy, Estimate, Precision
from diptych.fitting.budget import Budget
from diptych.fitting.building import build
from diptych.fitting.contest import Measure, rivals
from diptych.fitting.costs import COSTS
from diptych.fitting.ledger import prediction_energy
from diptych.fitting.lowering import is_made_elsewhere
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.trials import open_lowered, unverified
from diptych.fitting.verdicts import KNOWN_OF_FILES
from diptych.inference.runtimes import Session
from diptych.measure.cost import usd_per_million
from diptych.measure.decisions import decide
from diptych.measure.quantiles import quantile
from diptych.measure.timing import interleave
from diptych.targets import Choice, Runtime
from diptych.targets.lower import LoweredProgram, lower_all
from diptych.targets.running import refusals

TIMED_CALLS = 400
TIMING_S = 2.0
STAGE = "probe"
Made = tuple[LoweredProgram, Session]


@dataclass(frozen=True, kw_only=True)
class ProgramCost:
    """What one program of a network costs, whatever its weights are."""

    runtime: Runtime
    precision: Precision
    p50_ms: Estimate
    p99_ms: Estimate
    size_bytes: int
    energy: Energy
    cost_usd_per_million: float
    unverified: bool = False


class Probe(Protocol):
    """Says what the programs of a planned network cost.

    Of one that was made elsewhere these are the programs that a runtime can have, if any.
    """

    def __call__(self, plan: ModelPlan, network: nn.Module | None = None) -> Sequence[ProgramCost]:
        """Lower and time the network with its first weights, or this one of its shape."""
        ...


def choose_students(
    recipe: FitRecipe,
    budget: Budget,
    probe: Probe,
    has_time: Callable[[], bool],
    measure: Measure | None = None,
) -> FitRecipe:
    """Leave only those students in a recipe that are to be trained.

    Args:
        recipe: Of whose students `most_students` are trained.
        budget: The limits.
        probe: Asked where there are more students than that.
        has_time: Asked before each probe.
        measure: Says how large networks are, where there may be a contest.

    Returns:
        The recipe; students that cost less are there as `cheaper`. It still has rivals, and one of
        them to train, where there is to be a contest.
    """
    plans = tuple(plan for plan in recipe.students if plan.prune is None)
    most = recipe.most_students
    if not 0 < most < len(plans):
        return recipe
    chosen = affordable(plans, most, budget, probe, has_time)
    if most > 1 or measure is None or not limits_costs(budget):
        return recipe.left_with(chosen)
    first, *others = rivals(plans[plans.index(chosen[0]) :], measure)
    able = [p for p in others if has_time() and any(can_keep(c, budget) for c in probe(p))]
    return recipe.left_with((first, *able), most=1 if able else 0)


def affordable(
    plans: Sequence[ModelPlan],
    most: int,
    budget: Budget,
    probe: Probe,
    has_time: Callable[[], bool] = lambda: True,
) -> tuple[ModelPlan, ...]:
    """Find the widest networks that can keep what a budget says of latency, size, energy and cost.

    Args:
        plans: At least one, the widest first; whoever follows costs less.
        most: How many to give, at least 1.
        budget: The limits; a network can keep them unless each of its programs surely fails one.
        probe: Asked of as few networks as halving takes.
        has_time: Asked before each probe; without time what is not known counts as affordable.

    Returns:
        The first that can and those after it, at most so many; the last one if none can.
    """
    if not limits_costs(budget):
        return tuple(plans[:most])
    first, last = 0, len(plans) - 1  # the first affordable one is among these, or none is
    while first < last and has_time():
        middle = (first + last) // 2
        if any(can_keep(cost, budget) for cost in probe(plans[middle])):
            last = middle
        else:
            first = middle + 1
    return tuple(plans[first : first + most])


def limits_costs(budget: Budget) -> bool:
    """Say whether a budget has terms that do not depend on weights.

    Args:
        budget: The limits.

    Returns:
        True where it limits latency, size, energy or cost.
    """
    return any(term.name in COSTS for term in budget.terms)


def can_keep(cost: ProgramCost, budget: Budget) -> bool:
    """Say whether a program fails none of the terms that do not depend on weights.

    Args:
        cost: What it costs.
        budget: The limits.

    Returns:
        True too where it cannot be told, as of what cannot run here.
    """
    names = COSTS.keys() & KNOWN_OF_FILES if cost.unverified else COSTS.keys()
    known = [term for term in budget.terms if term.name in names]
    return all(decide(COSTS[t.name](cost), t.relation, t.limit) != "FAIL" for t in known)


def prober(
    dataset: Dataset,
    programs: Sequence[ProgramPlan],
    calibration: np.ndarray,
    seed: int,
    report: Reporter,
) -> Probe:
    """Make what lowers and times planned networks on this machine.

    Args:
        dataset: What they will be trained on.
        programs: How they will be lowered.
        calibration: Training items (M, ...).
        seed: Of the first weights, and of the order in which programs are timed.
        report: Told of each network.

    Returns:
        The probe.
    """
    assets_bytes = sum(map(len, dataset.assets.values()))
    one = np.ascontiguousarray(dataset.train.inputs[:1])

    def make(network: nn.Module, plan: ModelPlan, choices: Sequence[Choice]) -> list[Made]:
        lowered = lower_all(
            network, dataset.spec.tensor(), choices, calibration=calibration, name=plan.name
        )
        made = [(program, open_lowered(program)) for program in lowered]
        for program, session in made:
            with refusals(program.name):
                session.run(one)
        return made

    def probe(plan: ModelPlan, network: nn.Module | None = None) -> Sequence[ProgramCost]:
        report(Step(stage=STAGE, done=0, total=1, note=plan.name))
        network = (build(plan, dataset, seed) if network is None else network).eval()
        opened = _able(partial(make, network, plan), plan, [each.choice for each in programs])
        runs = {p.name: (lambda s=session: s.run(one)) for p, session in opened}
        timed = partial(interleave, samples=TIMED_CALLS, time_limit_s=TIMING_S, seed=seed)
        timings = timed(runs) if runs else {}
        report(Step(stage=STAGE, done=1, total=1, note=plan.name))
        return [
            ProgramCost(
                runtime=program.runtime,
                precision=program.precision,
                p50_ms=quantile(timings[program.name].latencies_ms, 0.5),
                p99_ms=quantile(timings[program.name].latencies_ms, 0.99),
                size_bytes=assets_bytes + sum(map(len, program.contents.values())),
                energy=prediction_energy(timings[program.name], program.runtime),
                cost_usd_per_million=usd_per_million(timings[program.name].cpu_seconds_per_call),
                unverified=bool(unverified(program)),
            )
            for program, _ in opened
        ]

    return probe


def _able(
    make: Callable[[Sequence[Choice]], list[Made]], plan: ModelPlan, choices: Sequence[Choice]
) -> list[Made]:
    """Make all programs; of a network that was made elsewhere, those that there can be."""
    try:
        return make(choices)
    except TargetError:
        if not is_made_elsewhere(plan):
            raise
    found = list[Made]()
    for choice in choices:
        with suppress(TargetError):
            found += make([choice])
    return found
