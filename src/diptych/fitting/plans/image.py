"""The plan of a fit on pictures: residual networks, wider for the teacher.

Students differ in width, depth and the resolution that they see.
"""

import math
from collections.abc import Callable
from itertools import product

from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.core.seeds import generator
from diptych.core.specs import ImageSpec
from diptych.core.values import Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.plans.machines import fast_arithmetic
from diptych.fitting.plans.shapes import costliest_first, within_size
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.symmetry import mirroring_keeps_labels
from diptych.training.variation import PictureVariation

USUAL_STEPS = 800
MOST_EPOCHS = 80
TEACHER_EPOCHS = 12
STUDENT_EPOCHS = 20
TIMED_TEACHER_EPOCHS = 20
TIMED_STUDENT_EPOCHS = 50
SMALL_SIDE = 16
LARGE_SIDE = 48

STUDENT = ResidualNetConfig(stem=16, widths=(32, 64, 96), blocks=(1, 1, 0))
SMALL_STUDENT = ResidualNetConfig(stem=8, widths=(24, 32), blocks=(0, 1))
STUDENT_SCALES = (1.5, 1.25, 1.0, 0.75, 0.5, 0.25)
DEPTHS: dict[str, Callable[[int], int]] = {
    "-deep": lambda blocks: max(1, blocks),
    "": lambda blocks: blocks,
    "-flat": lambda blocks: 0,
}
"""Blocks of a stage, from the usual ones, by what is added to a student's name."""
DOWNSAMPLED = {"": 1, "-half": 2, "-quarter": 4}
LEAST_SIDE = 24
"""Of pictures that are looked at in less than their resolution, after that."""
CONTAINER_BYTES = 34_000
BYTES_PER_PARAMETER = 1.02


def plan(
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
        The recipe, with a teacher, students of which the costliest that the budget allows is to be
        trained, and no programs yet.
    """
    spec = pictures_of(dataset)
    teacher = ModelPlan(
        name="teacher",
        network=teacher_network(spec),
        training=training_recipe(
            dataset, machine, seed, TIMED_TEACHER_EPOCHS if timed else TEACHER_EPOCHS
        ),
    )
    training = training_recipe(
        dataset, machine, seed, TIMED_STUDENT_EPOCHS if timed else STUDENT_EPOCHS
    )
    students = tuple(
        ModelPlan(name=f"student-{name}", network=network, training=training)
        for name, network in student_networks(spec, len(dataset.labels), budget).items()
    )
    return FitRecipe(teacher=teacher, students=students, most_students=1, seed=seed)


def pictures_of(dataset: Dataset) -> ImageSpec:
    """Give the pictures' spec.

    Args:
        dataset: Of pictures.

    Returns:
        Its spec.

    Raises:
        TypeError: If it is of something else.
    """
    if not isinstance(dataset.spec, ImageSpec):
        raise TypeError(f"{dataset.task} is not about pictures")
    return dataset.spec


def teacher_network(spec: ImageSpec) -> ResidualNetConfig:
    """Choose the teacher's shape from the pictures' size and color.

    Args:
        spec: The pictures.

    Returns:
        The shape.
    """
    side = min(spec.height, spec.width)
    if side < SMALL_SIDE:
        return _few_stages(ResidualNetConfig(stem=16, widths=(32, 64), blocks=(1, 1)), side)
    wide = spec.channels == 3
    config = ResidualNetConfig(
        stem=32 if wide else 16,
        widths=(64, 128, 256) if wide else (48, 96, 192),
        blocks=(1, 0, 1),
    )
    return _deepened(config, side)


def student_networks(
    spec: ImageSpec, num_classes: int, budget: Budget
) -> dict[str, ResidualNetConfig]:
    """List the students' shapes that can keep the size limit in 8 bits, the costliest first.

    Args:
        spec: The pictures.
        num_classes: How many labels.
        budget: The limits.

    Returns:
        At least one shape, by its width before the head and what is unusual of it.
    """
    return within_size(
        student_shapes(spec),
        lambda shape: estimated_int8_bytes(shape, spec, num_classes),
        budget,
    )


def student_shapes(spec: ImageSpec) -> dict[str, ResidualNetConfig]:
    """List all students' shapes, the costliest first.

    Args:
        spec: The pictures.

    Returns:
        Each width in each depth in each resolution, by name.
    """
    side = min(spec.height, spec.width)
    shapes: dict[str, ResidualNetConfig] = {}
    for (seen, factor), (deep, blocks), scale in product(
        DOWNSAMPLED.items(), DEPTHS.items(), STUDENT_SCALES
    ):
        if factor > 1 and side // factor < LEAST_SIDE:
            continue
        base = _few_stages(SMALL_STUDENT, side) if side < SMALL_SIDE else STUDENT
        base = replace(base, blocks=tuple(map(blocks, base.blocks)), downsample=factor)
        shape = _deepened(base.scaled(scale), side // factor)
        shapes[f"{_channels(shape)}{deep}{seen}"] = shape
    return costliest_first(shapes, lambda shape: estimated_operations(shape, spec))


def training_recipe(dataset: Dataset, machine: Machine, seed: int, epochs: float) -> TrainingRecipe:
    """Fit the usual recipe to the data and the machine.

    Args:
        dataset: The data.
        machine: Where it will run.
        seed: The root seed.
        epochs: How many for a large data set; a small one gets more.

    Returns:
        The recipe of one run.
    """
    spec = pictures_of(dataset)
    items, side = len(dataset.train), min(spec.height, spec.width)
    batch_size = min(128, 2 ** int(math.log2(max(8, items / 8))))
    few = USUAL_STEPS * batch_size / items
    return TrainingRecipe(
        epochs=float(min(MOST_EPOCHS, max(epochs, round(few)))),
        batch_size=batch_size,
        variation=PictureVariation(
            translate=max(1, round(side / 12)),
            cutout=side // 4,
            flip=_mirrors(dataset, seed),
        ),
        arithmetic=fast_arithmetic(machine),
        threads=machine.cores if side >= SMALL_SIDE else 1,
    )


def _mirrors(dataset: Dataset, seed: int) -> bool:
    """Say whether pictures may be mirrored; where no classes can tell, they are not."""
    if dataset.goal not in {"classification", "ordinal"}:
        return False
    order = generator(seed, "mirroring").permutation(len(dataset.train))
    return mirroring_keeps_labels(dataset.train.inputs, dataset.train.targets, order)


def estimated_int8_bytes(config: ResidualNetConfig, spec: ImageSpec, num_classes: int) -> float:
    """Estimate the size of a network's program in 8 bits, before there is one.

    Args:
        config: The network's shape.
        spec: The pictures.
        num_classes: How many labels.

    Returns:
        Bytes, container included.
    """
    parameters = 9 * spec.channels * config.stem
    channels = config.stem
    for width, blocks in zip(config.widths, config.blocks, strict=True):
        parameters += 9 * channels * width + blocks * 18 * width * width
        channels = width
    parameters += num_classes * channels
    return BYTES_PER_PARAMETER * parameters + CONTAINER_BYTES


def estimated_operations(config: ResidualNetConfig, spec: ImageSpec) -> int:
    """Count what a network's convolutions multiply and add.

    Args:
        config: The network's shape.
        spec: The pictures.

    Returns:
        Multiplications with additions, for one picture.
    """
    height, width = (side // config.downsample for side in (spec.height, spec.width))
    total, channels = 9 * height * width * spec.channels * config.stem, config.stem
    for outputs, blocks in zip(config.widths, config.blocks, strict=True):
        total += 9 * height * width * channels * outputs
        height, width, channels = height // 2, width // 2, outputs
        total += blocks * 18 * height * width * outputs * outputs
    return total


def _channels(config: ResidualNetConfig) -> int:
    """Return the width before the head."""
    return (config.stem, *config.widths)[-1]


def _few_stages(config: ResidualNetConfig, side: int) -> ResidualNetConfig:
    """Return the shape with no more stages than a small picture can be halved."""
    stages = side.bit_length() - 1
    return replace(config, widths=config.widths[:stages], blocks=config.blocks[:stages])


def _deepened(config: ResidualNetConfig, side: int) -> ResidualNetConfig:
    """Return the shape with early stages that halve large pictures until the usual ones fit."""
    extra = math.ceil(math.log2(max(1.0, side / LARGE_SIDE)))
    return replace(
        config,
        widths=(config.stem,) * extra + config.widths,
        blocks=(0,) * extra + config.blocks,
    )
