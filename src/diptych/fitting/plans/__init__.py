"""Plans of fits, by kind of input: from the data, the budget, the machine and the time.

Nothing here is timed, so the same data, budget, seed and kind of machine give the same plan; a
time limit shortens runs while they run, and what was done is recorded in the recipe.
"""

from typing import Protocol

from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.core.specs import AudioSpec, ImageSpec, OwnSpec, TableSpec, TextSpec
from diptych.core.values import Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.plans import audio, image, own, table, text
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.trees import TreesConfig


class Planner(Protocol):
    """Plans a fit; `timed` says whether a time limit will end the runs, planned long then."""

    def __call__(
        self, dataset: Dataset, budget: Budget, machine: Machine, seed: int, *, timed: bool
    ) -> FitRecipe:
        """Give a recipe with a teacher, students and no programs yet."""
        ...


PLANS: dict[type, Planner] = {
    ImageSpec: image.plan,
    AudioSpec: audio.plan,
    TextSpec: text.plan,
    TableSpec: table.plan,
    OwnSpec: own.plan,
}


def plan_fit(
    dataset: Dataset, budget: Budget, machine: Machine, seed: int, *, timed: bool
) -> FitRecipe:
    """Plan a fit.

    Args:
        dataset: The data.
        budget: The limits; its size limit bounds the student.
        machine: Where it will run.
        seed: The root seed.
        timed: Whether a time limit will end the runs; then they are planned long.

    Returns:
        The recipe, with a teacher, students and no programs yet. A budget that limits f1 asks for
        every class alike, so each counts as much as the others in networks.
    """
    recipe = PLANS[type(dataset.spec)](dataset, budget, machine, seed, timed=timed)
    if budget.limit("f1") is None or dataset.goal not in {"classification", "ordinal"}:
        return recipe
    return replace(
        recipe,
        teacher=_balanced(recipe.teacher),
        students=tuple(_balanced(student) for student in recipe.students),
    )


def _balanced(plan: ModelPlan) -> ModelPlan:
    """Let classes count alike; but not for trees, which lost macro f1 by it."""
    if isinstance(plan.network, TreesConfig):
        return plan
    return replace(plan, training=replace(plan.training, balance=True))
