"""The difference between two bundles: what the second lost, and whether it may take its place.

Scores and losses are measured afresh, on the same items; times, sizes, energies and costs are those
that the bundles recorded where they were made.
"""

import math

from msgspec.structs import replace

from diptych.core.damage import Damage
from diptych.core.manifest import Manifest
from diptych.core.specs import Value
from diptych.core.values import EnergyLabel, Estimate, Outcome, Verdict
from diptych.fitting.answering import Reading, answer, pair
from diptych.fitting.budget import MAIN_SCORE, Budget, check_terms
from diptych.fitting.damage import Answered, assess
from diptych.fitting.verdicts import millijoules, overall, verdict_of
from diptych.inference.bundle import Bundle
from diptych.measure.decisions import exact
from diptych.measure.means import unknown
from diptych.measure.quantiles import samples_for_bounds
from diptych.measure.scores import drop
from diptych.tasks.goals import GoalKind, goal_kind, unit_of

RECORDED_UNITS = {
    "p50": "ms",
    "p99": "ms",
    "size": "bytes",
    "memory": "bytes",
    "energy": "mJ",
    "cost": "usd_per_million",
    "cold": "ms",
}


class Figure(Value):
    """A figure of both bundles; None where a bundle did not record it.

    The labels say how an energy or a cost was had.
    """

    name: str
    unit: str
    first: Estimate | None
    second: Estimate | None
    first_label: EnergyLabel | None = None
    second_label: EnergyLabel | None = None

    @property
    def comparable(self) -> bool:
        """Whether both were had in the same way, as far as both are there."""
        one_is_absent = self.first is None or self.second is None
        return one_is_absent or self.first_label == self.second_label


class Difference(Value):
    """How the second bundle differs from the first.

    `scores` are measured on these items, `recorded` is what the bundles hold; `one_machine` says
    whether that was measured on processors of one kind. `drop` is the loss of the main score.
    """

    first: str
    second: str
    n: int
    items: str
    verdict: Outcome
    terms: tuple[Verdict, ...]
    scores: tuple[Figure, ...]
    recorded: tuple[Figure, ...]
    one_machine: bool
    drop: Estimate
    damage: Damage


def difference(first: Bundle, second: Bundle, reading: Reading, budget: Budget) -> Difference:
    """Compare two bundles on labelled data.

    Args:
        first: The one that is there.
        second: The one that may take its place.
        reading: The data; see :func:`diptych.fitting.answering.answer` for which of its items.
        budget: The limits that the second must keep; ``drop`` is against the first.

    Returns:
        The difference.
    """
    kind = goal_kind(second.manifest.goal, second.task)
    check_terms(budget, kind)
    answers = answer(second, reading)
    both = pair(first, second, answers, reading)
    scores = tuple(_score(name, both, kind) for name in kind.metrics)
    old, new = _recorded(first.manifest), _recorded(second.manifest)
    old_labels, labels = _labels(first.manifest), _labels(second.manifest)
    lost = drop(
        kind.item_scores(both.reference, both.targets), kind.item_scores(both.model, both.targets)
    )
    known = {one.name: one.second for one in scores} | {MAIN_SCORE: scores[0].second} | new
    known |= {"drop": lost}
    verdicts = tuple(
        replace(
            verdict_of(term, known.get(term.name) or unknown("not recorded")),
            label=labels.get(term.name),
        )
        for term in budget.terms
    )
    return Difference(
        first=both.names[0],
        second=both.names[1],
        n=len(both.targets),
        items=answers.items,
        verdict=overall(verdicts),
        terms=verdicts,
        scores=scores,
        recorded=tuple(
            Figure(
                name=name,
                unit=unit,
                first=old.get(name),
                second=new.get(name),
                first_label=old_labels.get(name),
                second_label=labels.get(name),
            )
            for name, unit in RECORDED_UNITS.items()
            if name in old or name in new
        ),
        one_machine=first.manifest.machine.cpu == second.manifest.machine.cpu,
        drop=lost,
        damage=assess(both),
    )


def _score(name: str, both: Answered, kind: GoalKind) -> Figure:
    metric = kind.metrics[name]
    return Figure(
        name=name,
        unit=unit_of(name),
        first=metric(both.reference, both.targets),
        second=metric(both.model, both.targets),
    )


def _recorded(manifest: Manifest) -> dict[str, Estimate]:
    """Gather what a bundle recorded of its model, by the names of the budget's terms."""
    model = manifest.model
    energy, n = model.energy, model.p50_ms.n if model.p50_ms else 0
    size, cost = model.size_bytes, model.cost_usd_per_million
    figures = {
        "p50": model.p50_ms,
        "p99": model.p99_ms,
        "size": None if size is None else exact(size, "size of the program's files"),
        "memory": _memory(manifest),
        "energy": None if energy is None else millijoules(energy, n),
        "cost": None if cost is None else exact(cost, "CPU time at a declared price"),
        "cold": model.cold_ms,
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def _labels(manifest: Manifest) -> dict[str, EnergyLabel]:
    """Say how the energy and the cost were had that a bundle recorded, where it did."""
    labels: dict[str, EnergyLabel] = {}
    if manifest.model.energy is not None:
        labels["energy"] = manifest.model.energy.label
    if manifest.model.cost_usd_per_million is not None:
        labels["cost"] = "declared"
    return labels


def _memory(manifest: Manifest) -> Estimate | None:
    """Give the peak memory that was recorded, with an interval if a limit was decided by it."""
    value = manifest.model.memory_bytes
    if value is None:
        return None
    method, least = "peak memory, as recorded", samples_for_bounds(0.5)
    for term in manifest.terms:
        if term.name == "memory" and term.n >= least:
            return Estimate(value=value, low=term.low, high=term.high, n=term.n, method=method)
    return Estimate(value=value, low=-math.inf, high=math.inf, n=1, method=method)
