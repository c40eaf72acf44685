"""The plan of a fit on a user's own task: its network at full width, then narrower ones."""

from diptych.core.manifest import Machine
from diptych.core.values import Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.models import OwnConfig
from diptych.training.recipe import TrainingRecipe

STUDENT_WIDTHS = (0.5, 0.25)
EPOCHS = 20
TIMED_EPOCHS = 60
USUAL_STEPS = 800


def plan(
    dataset: Dataset, budget: Budget, machine: Machine, seed: int, *, timed: bool
) -> FitRecipe:
    """Plan a fit.

    Args:
        dataset: The data.
        budget: Not used: only the task knows how large its networks are.
        machine: Where it will run.
        seed: The root seed.
        timed: Whether a time limit will end the runs; then they are planned long.

    Returns:
        The recipe; AdamW, for it suits most networks as they are.
    """
    items = len(dataset.train)
    batch_size = max(1, min(64, items // 8))
    training = TrainingRecipe(
        epochs=float(max(TIMED_EPOCHS if timed else EPOCHS, USUAL_STEPS * batch_size // items)),
        batch_size=batch_size,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.01,
        label_smoothing=0.05,
        clip=1.0,
        threads=machine.cores,
    )
    students = tuple(
        ModelPlan(
            name=f"student-{round(100 * width)}", network=OwnConfig(width=width), training=training
        )
        for width in STUDENT_WIDTHS
    )
    teacher = ModelPlan(name="teacher", network=OwnConfig(), training=training)
    return FitRecipe(teacher=teacher, students=students, seed=seed)
