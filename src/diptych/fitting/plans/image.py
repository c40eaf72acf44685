"""The plan of a fit on pictures: residual networks, wider for the teacher."""

import math

from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.core.seeds import generator
from diptych.core.specs import ImageSpec
from diptych.core.values import Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.plans.machines import fast_arithmetic
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
        The recipe, with a teacher, students of which the widest that the budget allows is to be
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
    networks = student_networks(spec, len(dataset.labels), budget)
    students = tuple(
        ModelPlan(name=f"student-{_channels(network)}", network=network, training=training)
        for network in networks
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
) -> tuple[ResidualNetConfig, ...]:
    """List the students' shapes that can keep the size limit in 8 bits, the widest first.

    Args:
        spec: The pictures.
        num_classes: How many labels.
        budget: The limits.

    Returns:
        At least one shape.
    """
    side = min(spec.height, spec.width)
    base = _few_stages(SMALL_STUDENT, side) if side < SMALL_SIDE else STUDENT
    limit = budget.limit("size") or math.inf
    scaled = [_deepened(base.scaled(scale), side) for scale in STUDENT_SCALES]
    shapes = list({_channels(shape): shape for shape in scaled}.values())
    fitting = [s for s in shapes if estimated_int8_bytes(s, spec, num_classes) <= limit]
    return tuple(fitting or shapes[-1:])


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
