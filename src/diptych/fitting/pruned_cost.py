"""What a student that is to be pruned will cost, before it is pruned and learns.

How wide its layers will be is known from its source and the share alone, so a network of this shape
is lowered and timed like any other that nobody trained. What cannot keep the budget is left out, if
another student comes after it: the last one is trained all the same, for it may be the nearest.
"""

import copy
from collections.abc import Sequence

from msgspec.structs import replace

from diptych.compression.prune import widths_after
from diptych.core.values import Dataset
from diptych.fitting.costs import COSTS
from diptych.fitting.job import Job
from diptych.fitting.probing import Probe, ProgramCost, can_keep
from diptych.fitting.pruning import pruned_config
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.trainee import Trainee, network_of
from diptych.training.compute import compute_threads
from diptych.training.control import RunControl
from diptych.training.models.pruned import cut

PROBE_S = 8.0
PROBING_SHARE = 0.1
"""Of the time there is for the student, at most; with less it is trained unseen."""


def can_pay(
    plan: ModelPlan,
    recipe: FitRecipe,
    models: Sequence[Trainee],
    job: Job,
    probe: Probe,
    control: RunControl,
) -> bool:
    """Say whether a student that is to be pruned can keep what the budget says of costs.

    Args:
        plan: How it is to be pruned, one of the recipe's.
        recipe: Whose last student, and those that others are pruned from, are not left out.
        models: Trained so far, among them that which it is to be pruned from; left as they are.
        job: The data and the limits.
        probe: Lowers and times a network of its shape.
        control: The time for the student; told where it is left out, and why.

    Returns:
        True too where it cannot be told, such as where no runtime can have it, there is no time to
        find out, or nothing can be removed.
    """
    terms = [term for term in job.budget.terms if term.name in COSTS]
    name = recipe.source_of(plan).name
    source = next((model for model in models if model.name == name), None)
    if source is None or not terms or _is_wanted(plan, recipe) or not _has_time(control):
        return True
    costs = _costs(plan, source, job.dataset, probe)
    if not costs or any(can_keep(cost, job.budget) for cost in costs):
        return True
    names = ", ".join(term.name for term in terms)
    control.warn(f"not pruned from {name}: none of its programs can keep {names} ({_told(costs)})")
    return False


def _is_wanted(plan: ModelPlan, recipe: FitRecipe) -> bool:
    made_of = {recipe.source_of(each).name for each in recipe.students if each.prune is not None}
    return plan.name in made_of or plan == recipe.students[-1]


def _costs(
    plan: ModelPlan, source: Trainee, dataset: Dataset, probe: Probe
) -> Sequence[ProgramCost]:
    """Probe a network as it will be once it is pruned; nothing where nothing can be removed."""
    if plan.prune is None:
        return []
    network = copy.deepcopy(network_of(source)).cpu()
    with compute_threads(plan.training.threads):
        widths = widths_after(network, dataset, plan.prune)
    if not widths:
        return []
    return probe(replace(plan, network=pruned_config(source, widths)), cut(network, widths))


def _has_time(control: RunControl) -> bool:
    deadline = control.deadline
    return deadline is None or PROBING_SHARE * (deadline - control.clock()) >= PROBE_S


def _told(costs: Sequence[ProgramCost]) -> str:
    """Say what the fastest and the smallest would cost."""
    fastest = min(cost.p99_ms.value for cost in costs)
    smallest = min(cost.size_bytes for cost in costs)
    return f"p99 {fastest:.3g} ms, {smallest:,} bytes at best"
