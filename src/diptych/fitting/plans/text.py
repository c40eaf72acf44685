"""The plan of a fit on texts: a hashed bag teaches convolutions.

The bag learns in seconds, answers in microseconds, and is hard to beat where texts are few. The
convolutions learn from it and from the labels. Either may be the better one, so both are tried; a
narrower bag too where the size is limited.
"""

import math

from diptych.core.manifest import Machine
from diptych.core.specs import TextSpec
from diptych.core.values import Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.models import NgramsConfig, TextConvolutionConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import TextVariation

FEW_ITEMS = 20_000
CONVOLUTION = TextConvolutionConfig(dropout=0.5)
STUDENT_SCALES = (1.0, 0.5, 0.25, 0.125)
BAG_STEPS, CONVOLUTION_STEPS = 2_000, 1_200
BAG_EPOCHS, CONVOLUTION_EPOCHS = 5, 5
MOST_EPOCHS = 60
LARGEST_BATCH = 64
LABEL_SHARE = 0.5
CONTAINER_BYTES = 30_000

Student = NgramsConfig | TextConvolutionConfig


def plan(
    dataset: Dataset, budget: Budget, machine: Machine, seed: int, *, timed: bool
) -> FitRecipe:
    """Plan a fit.

    Args:
        dataset: The data.
        budget: The limits; its size limit bounds the students.
        machine: Not used: one thread learns short texts fastest.
        seed: The root seed.
        timed: Not used: longer runs learn texts by heart.

    Returns:
        The recipe, with a teacher, one or two students and no programs yet.
    """
    bag = NgramsConfig(orders=3 if len(dataset.train) < FEW_ITEMS else 2)
    teacher = ModelPlan(name="teacher", network=bag, training=bag_recipe(dataset))
    convolution = ModelPlan(
        name="student-convolution",
        network=_widest(CONVOLUTION, dataset, budget),
        training=convolution_recipe(dataset),
    )
    students = [convolution]
    narrower = _widest(bag, dataset, budget)
    if narrower != bag:
        students.append(
            ModelPlan(name="student-bag", network=narrower, training=bag_recipe(dataset))
        )
    return FitRecipe(teacher=teacher, students=tuple(students), seed=seed)


def texts_of(dataset: Dataset) -> TextSpec:
    """Give the texts' spec.

    Args:
        dataset: Of texts.

    Returns:
        Its spec.

    Raises:
        TypeError: If it is of something else.
    """
    if not isinstance(dataset.spec, TextSpec):
        raise TypeError(f"{dataset.task} is not about texts")
    return dataset.spec


def bag_recipe(dataset: Dataset) -> TrainingRecipe:
    """Fit the usual recipe of a bag to the data.

    Args:
        dataset: The data.

    Returns:
        The recipe: plain descent, for Adam gives rare words too large steps.
    """
    return TrainingRecipe(
        epochs=_epochs(len(dataset.train), BAG_EPOCHS, BAG_STEPS),
        batch_size=_batch_size(len(dataset.train)),
        learning_rate=0.08,
        weight_decay=6e-5,
        variation=TextVariation(),
    )


def convolution_recipe(dataset: Dataset) -> TrainingRecipe:
    """Fit the usual recipe of convolutions to the data.

    Args:
        dataset: The data.

    Returns:
        The recipe.
    """
    return TrainingRecipe(
        epochs=_epochs(len(dataset.train), CONVOLUTION_EPOCHS, CONVOLUTION_STEPS),
        batch_size=_batch_size(len(dataset.train)),
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.1,
        label_share=LABEL_SHARE,
        variation=TextVariation(forget=0.2),
    )


def estimated_bytes(config: Student, spec: TextSpec, outputs: int) -> float:
    """Estimate the size of a network's smallest program, before there is one.

    Args:
        config: The network's shape.
        spec: The texts.
        outputs: How many labels.

    Returns:
        Bytes, without the tokenizer's: one for each number of a table or of a layer.
    """
    if isinstance(config, NgramsConfig):
        width = min(config.width, outputs)
        return (spec.vocabulary + config.buckets) * width + width * outputs + CONTAINER_BYTES
    layers = config.channels * (config.width * sum(config.runs) + len(config.runs) * outputs)
    return spec.vocabulary * config.width + layers + CONTAINER_BYTES


def _widest(shape: Student, dataset: Dataset, budget: Budget) -> Student:
    """Return the widest network that can keep the size limit, or the narrowest there is."""
    limit = budget.limit("size") or math.inf
    limit -= sum(len(content) for content in dataset.assets.values())
    spec, outputs = texts_of(dataset), len(dataset.labels)
    scaled = [shape.scaled(scale) for scale in STUDENT_SCALES]
    fitting = (each for each in scaled if estimated_bytes(each, spec, outputs) <= limit)
    return next(fitting, scaled[-1])


def _epochs(items: int, least: float, steps: int) -> float:
    """Return the usual number of epochs; few items are seen more often."""
    return float(min(MOST_EPOCHS, max(least, round(steps * _batch_size(items) / items))))


def _batch_size(items: int) -> int:
    return int(min(LARGEST_BATCH, 2 ** int(math.log2(max(8, items / 8)))))
