"""The plan of a fit on tables: boosted trees teach small networks.

Trees are grown in seconds and are hard to beat on rows, but a network that learns from labels and
trees alike is at least as good, a tenth of the size, and runs in every runtime.
"""

import math
from itertools import pairwise

from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.core.specs import CategoryColumn, TableSpec
from diptych.core.values import Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.models import TabularConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.trees import TreesConfig

EPOCHS, TIMED_EPOCHS, MOST_EPOCHS = 10, 16, 300
BATCH_SIZE, BATCHES_PER_EPOCH = 256, 100

LEAST_STEPS, LEAST_STEPS_FOR_VALUES = 1_800, 4_500
"""A value tells more than a class: it takes more steps until a network learns noise."""
CLASSES = TrainingRecipe(
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=1e-3,
    warmup_share=0.1,
    label_smoothing=0.0,
    label_share=0.25,
    temperature=1.0,
)
VALUES = replace(CLASSES, learning_rate=4e-3, label_share=0.5)

STUDENT_SCALES = (1.0, 0.5, 0.25)
NUM_STUDENTS = 2
SMALL = TabularConfig(pieces=16, number_width=8, category_width=4, widths=(64, 64))
NUMBER_FEATURES, NUMBER_PIECES, CATEGORY_FEATURES = 1_024, 4_096, 512
LEAST_PIECES, LEAST_WIDTH = 8, 2
MANY_ROWS = 200_000
CONTAINER_BYTES = 10_000


def plan(
    dataset: Dataset, budget: Budget, machine: Machine, seed: int, *, timed: bool
) -> FitRecipe:
    """Plan a fit.

    Args:
        dataset: The data.
        budget: The limits; its size limit bounds the students.
        machine: Where it will run.
        seed: The root seed.
        timed: Whether a time limit will end the runs; then they are planned long.

    Returns:
        The recipe, with trees as the teacher, one or two students and no programs yet.
    """
    items = len(dataset.train)
    teacher = ModelPlan(
        name="trees",
        network=TreesConfig(folds=max(2, min(TreesConfig().folds, items))),
        training=TrainingRecipe(threads=machine.cores if items > MANY_ROWS else 1),
    )
    training = training_recipe(dataset, TIMED_EPOCHS if timed else EPOCHS)
    students = tuple(
        ModelPlan(name=f"student-{network.widths[-1]}", network=network, training=training)
        for network in student_networks(dataset, budget)[:NUM_STUDENTS]
    )
    return FitRecipe(teacher=teacher, students=students, seed=seed)


def training_recipe(dataset: Dataset, epochs: float) -> TrainingRecipe:
    """Fit the usual recipe to the data.

    Args:
        dataset: The data.
        epochs: How many for a large data set; a small one gets more.

    Returns:
        The recipe of one run, which learns from labels and from the teacher.
    """
    items = len(dataset.train)
    batch_size = min(BATCH_SIZE, 2 ** max(3, round(math.log2(items / BATCHES_PER_EPOCH))))
    base, steps = CLASSES, LEAST_STEPS
    if dataset.goal == "regression":
        base, steps = VALUES, LEAST_STEPS_FOR_VALUES
    epochs = min(MOST_EPOCHS, max(epochs, round(steps * batch_size / items)))
    return replace(base, epochs=float(epochs), batch_size=batch_size)


def student_networks(dataset: Dataset, budget: Budget) -> tuple[TabularConfig, ...]:
    """List the students' shapes that can keep the size limit in 8 bits, the widest first.

    Args:
        dataset: Of a table.
        budget: The limits.

    Returns:
        At least one shape.
    """
    spec, outputs = table_of(dataset), len(dataset.labels)
    limit = budget.limit("size") or math.inf
    shapes = [fitted(spec, TabularConfig().scaled(scale)) for scale in STUDENT_SCALES]
    shapes += [fitted(spec, SMALL), fitted(spec, SMALL.scaled(0.5))]
    fitting = [s for s in shapes if estimated_int8_bytes(s, spec, outputs) <= limit]
    names = {shape.widths[-1]: shape for shape in reversed(fitting or shapes[-1:])}
    return tuple(names[width] for width in sorted(names, reverse=True))


def table_of(dataset: Dataset) -> TableSpec:
    """Give the columns.

    Args:
        dataset: Of a table.

    Returns:
        Its spec.

    Raises:
        TypeError: If it is of something else.
    """
    if not isinstance(dataset.spec, TableSpec):
        raise TypeError(f"{dataset.task} is not about a table")
    return dataset.spec


def fitted(spec: TableSpec, shape: TabularConfig) -> TabularConfig:
    """Give each column fewer features where there are many columns.

    Args:
        spec: The columns.
        shape: The shape for few of them.

    Returns:
        A shape of which the first layer stays small.
    """
    words = sum(isinstance(column, CategoryColumn) for column in spec.columns)
    numbers = max(1, len(spec.columns) - words)
    return replace(
        shape,
        pieces=min(shape.pieces, max(LEAST_PIECES, NUMBER_PIECES // numbers)),
        number_width=min(shape.number_width, max(LEAST_WIDTH, NUMBER_FEATURES // numbers)),
        category_width=min(
            shape.category_width, max(LEAST_WIDTH, CATEGORY_FEATURES // max(1, words))
        ),
    )


def estimated_int8_bytes(config: TabularConfig, spec: TableSpec, outputs: int) -> float:
    """Estimate the size of a network's program in 8 bits, before there is one.

    Args:
        config: The network's shape.
        spec: The columns.
        outputs: How many outputs there are.

    Returns:
        Bytes, container included; what numbers and words become stays in float.
    """
    words = [column for column in spec.columns if isinstance(column, CategoryColumn)]
    numbers = len(spec.columns) - len(words)
    cuts = numbers * config.pieces
    places = cuts if config.embedding == "knots" else 2 * numbers * config.waves
    embedded = (places + 2 * numbers) * config.number_width + 2 * cuts
    embedded += 0 if config.embedding == "knots" else cuts + numbers * (1 + config.waves)
    embedded += sum(1 + len(column.values) for column in words) * config.category_width
    features = numbers * config.number_width + len(words) * config.category_width
    widths = (features, *config.widths)
    weights = sum(before * after for before, after in pairwise(widths))
    weights += config.members * widths[-1] * outputs
    biases = sum(config.widths) + outputs + (features * config.members)
    return CONTAINER_BYTES + 4 * (embedded + biases) + weights
