"""The plan of a fit on texts: a hashed bag teaches a mixture of a bag and convolutions.

The bag learns in seconds, answers in microseconds, and is hard to beat where texts are few; the
mixture is better where there are more. Both are tried, and a narrower bag where size is limited.
"""

import math

from diptych.core.manifest import Machine
from diptych.core.specs import TextSpec
from diptych.core.values import Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.models import NgramsConfig, TextConvolutionConfig, TextMixtureConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import TextVariation

FEW_ITEMS = 20_000
CONVOLUTION = TextConvolutionConfig(dropout=0.5)
STUDENT_SCALES = (1.0, 0.5, 0.25, 0.125)
BAG_STEPS, MIXTURE_STEPS = 2_000, 1_200
LETTERS = 6
"""Few texts know few words well, so that they are learned by letters too."""
LEAST_EPOCHS, MOST_EPOCHS = 5, 60
LARGEST_BATCH = 64
LABEL_SHARE = 0.5
CONTAINER_BYTES = 30_000

Student = NgramsConfig | TextMixtureConfig


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
    few = len(dataset.train) < FEW_ITEMS
    bag = NgramsConfig(orders=3, letters=LETTERS) if few else NgramsConfig(orders=2)
    mixture = _widest(TextMixtureConfig(bag=bag, convolution=CONVOLUTION), dataset, budget)
    narrower = _widest(bag, dataset, budget)
    students = [
        ModelPlan(
            name="student-mixture",
            network=mixture,
            training=training_recipe(dataset, MIXTURE_STEPS, forget=0.2, label_share=LABEL_SHARE),
        )
    ]
    training = training_recipe(dataset, BAG_STEPS, forget=0.1)
    if narrower != bag:
        students.append(ModelPlan(name="student-bag", network=narrower, training=training))
    teacher = ModelPlan(name="teacher", network=bag, training=training)
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


def training_recipe(
    dataset: Dataset, steps: int, *, forget: float, label_share: float = 0.0
) -> TrainingRecipe:
    """Fit the usual recipe to the data.

    Args:
        dataset: The data.
        steps: How many a small data set is worth.
        forget: The share of pieces that become unknown.
        label_share: How much labels count beside a teacher.

    Returns:
        The recipe: plain descent, for Adam gives rare words too large steps.
    """
    items = len(dataset.train)
    batch_size = int(min(LARGEST_BATCH, 2 ** int(math.log2(max(8, items / 8)))))
    few = steps * batch_size / items
    return TrainingRecipe(
        epochs=float(min(MOST_EPOCHS, max(LEAST_EPOCHS, round(few)))),
        batch_size=batch_size,
        learning_rate=0.08,
        weight_decay=6e-5,
        label_share=label_share,
        variation=TextVariation(forget=forget),
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
    runs = config.convolution
    layers = runs.channels * (runs.width * sum(runs.runs) + len(runs.runs) * outputs)
    return spec.vocabulary * runs.width + layers + estimated_bytes(config.bag, spec, outputs)


def _widest(shape: Student, dataset: Dataset, budget: Budget) -> Student:
    """Return the widest network that can keep the size limit, or the narrowest there is."""
    limit = budget.limit("size") or math.inf
    limit -= sum(len(content) for content in dataset.assets.values())
    spec, outputs = texts_of(dataset), len(dataset.labels)
    scaled = [shape.scaled(scale) for scale in STUDENT_SCALES]
    fitting = (each for each in scaled if estimated_bytes(each, spec, outputs) <= limit)
    return next(fitting, scaled[-1])
