"""The plan of students that learn from items without labels too: longer, but not by as much."""

from msgspec.structs import replace

from diptych.core.values import Dataset
from diptych.fitting.recipe import FitRecipe, ModelPlan

LEAST_PASSES = 3.0


def with_lesson(recipe: FitRecipe, dataset: Dataset) -> FitRecipe:
    """Fit the students' runs to items without labels, over which an epoch goes as well.

    Args:
        recipe: The plan of a fit on the labelled items.
        dataset: The data.

    Returns:
        The recipe: a student takes as many steps as it would have, or passes three times over all
        items where that is more and its plan has as many epochs.
    """
    if dataset.unlabelled is None:
        return recipe
    share = len(dataset.train) / len(dataset.unlabelled.joined)

    def longer(plan: ModelPlan) -> ModelPlan:
        epochs = plan.training.epochs
        epochs = max(share * epochs, min(LEAST_PASSES, epochs))
        return replace(plan, training=replace(plan.training, epochs=epochs))

    return replace(
        recipe,
        students=tuple(longer(plan) for plan in recipe.students),
        cheaper=tuple(longer(plan) for plan in recipe.cheaper),
    )
