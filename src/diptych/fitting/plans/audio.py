"""The plan of a fit on sounds: a wide network teaches a narrower one that fits the size limit.

Students differ in width, depth and the bands that they hear.
"""

import math
from itertools import product

from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.core.specs import AudioSpec
from diptych.core.values import Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.plans.shapes import costliest_first, within_size
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.tasks.audio import hop_samples
from diptych.training.models import DepthwiseNetConfig
from diptych.training.models.dscnn import KERNEL, STEM_KERNEL
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import SoundVariation

TEACHER_EPOCHS, STUDENT_EPOCHS = 20, 30
TIMED_TEACHER_EPOCHS, TIMED_STUDENT_EPOCHS = 40, 80
USUAL_STEPS, MOST_EPOCHS = 800, 200
BATCH_SIZE = 32

TEACHER = DepthwiseNetConfig(stem=32, widths=(96, 128, 192, 256))
STUDENT = DepthwiseNetConfig()
FLAT = DepthwiseNetConfig(widths=(64, 128), strides=(2, 2))
DEPTHS = {"": STUDENT, "-flat": FLAT}
BANDS = {"": 1, "-half": 2}
"""What the usual number of mel bands is divided by."""
STUDENT_SCALES = (1.5, 1.25, 1.0, 0.75, 0.5, 0.25)
CONTAINER_BYTES = 58_000
FEATURE_BYTES_PER_HOP_SAMPLE = 105


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
        The recipe, with a teacher, students of which the costliest that the budget allows is to be
        trained, and no programs yet.
    """
    teacher_epochs = TIMED_TEACHER_EPOCHS if timed else TEACHER_EPOCHS
    teacher = ModelPlan(
        name="teacher",
        network=TEACHER,
        training=training_recipe(dataset, machine, teacher_epochs),
    )
    training = training_recipe(dataset, machine, TIMED_STUDENT_EPOCHS if timed else STUDENT_EPOCHS)
    students = tuple(
        ModelPlan(name=f"student-{name}", network=network, training=training)
        for name, network in student_networks(dataset, budget).items()
    )
    return FitRecipe(teacher=teacher, students=students, most_students=1, seed=seed)


def student_networks(dataset: Dataset, budget: Budget) -> dict[str, DepthwiseNetConfig]:
    """List the students' shapes that can keep the size limit in 8 bits, the costliest first.

    Args:
        dataset: Of sounds.
        budget: The limits.

    Returns:
        At least one shape, by its last width and what is unusual of it.
    """
    spec, outputs = sounds_of(dataset), len(dataset.labels)
    return within_size(
        student_shapes(spec), lambda shape: estimated_int8_bytes(shape, spec, outputs), budget
    )


def student_shapes(spec: AudioSpec) -> dict[str, DepthwiseNetConfig]:
    """List all students' shapes, the costliest first.

    Args:
        spec: The sounds.

    Returns:
        Each width in each depth with each number of bands, by name.
    """
    shapes: dict[str, DepthwiseNetConfig] = {}
    choices = product(BANDS.items(), DEPTHS.items(), STUDENT_SCALES)
    for (heard, divisor), (depth, usual), scale in choices:
        features = replace(usual.features, bands=usual.features.bands // divisor)
        shape = replace(usual.scaled(scale), features=features)
        shapes[f"{shape.widths[-1]}{depth}{heard}"] = shape
    return costliest_first(shapes, lambda shape: estimated_operations(shape, spec))


def sounds_of(dataset: Dataset) -> AudioSpec:
    """Give the sounds' spec.

    Args:
        dataset: Of sounds.

    Returns:
        Its spec.

    Raises:
        TypeError: If it is of something else.
    """
    if not isinstance(dataset.spec, AudioSpec):
        raise TypeError(f"{dataset.task} is not about sounds")
    return dataset.spec


def training_recipe(dataset: Dataset, machine: Machine, epochs: float) -> TrainingRecipe:
    """Fit the usual recipe to the data and the machine.

    Args:
        dataset: The data.
        machine: Where it will run.
        epochs: How many for a large data set; a small one gets more.

    Returns:
        The recipe of one run.
    """
    items = len(dataset.train)
    batch_size = min(BATCH_SIZE, 2 ** int(math.log2(max(8, items / 8))))
    few = USUAL_STEPS * batch_size / items
    return TrainingRecipe(
        epochs=float(min(MOST_EPOCHS, max(epochs, round(few)))),
        batch_size=batch_size,
        learning_rate=0.1,
        variation=SoundVariation(),
        threads=1,
    )


def estimated_int8_bytes(config: DepthwiseNetConfig, spec: AudioSpec, outputs: int) -> float:
    """Estimate the size of a network's program in 8 bits, before there is one.

    Args:
        config: The network's shape.
        spec: The sounds.
        outputs: How many labels.

    Returns:
        Bytes, of the larger of the runtimes' containers and the constants of the features too.
    """
    parameters, channels = STEM_KERNEL**2 * config.stem, config.stem
    for width in config.widths:
        parameters += KERNEL**2 * channels + channels * width
        channels = width
    features = FEATURE_BYTES_PER_HOP_SAMPLE * hop_samples(spec.sample_rate)
    return parameters + outputs * channels + features + CONTAINER_BYTES


def estimated_operations(config: DepthwiseNetConfig, spec: AudioSpec) -> int:
    """Count what a network's convolutions multiply and add.

    Args:
        config: The network's shape.
        spec: The sounds.

    Returns:
        Multiplications with additions, for one sound; those of its features are not counted.
    """
    frames = spec.samples // hop_samples(spec.sample_rate) - config.features.hops + 1
    sides = [-(-config.features.bands // 2), -(-frames // 2)]
    total, channels = STEM_KERNEL**2 * config.stem * math.prod(sides), config.stem
    for width, stride in zip(config.widths, config.strides, strict=True):
        sides = [-(-side // stride) for side in sides]
        total += (KERNEL**2 * channels + channels * width) * math.prod(sides)
        channels = width
    return total
