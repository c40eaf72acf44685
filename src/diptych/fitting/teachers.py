"""Who teaches: what was given as teachers, checked before any work and planned."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diptych.compression.function import FunctionNetwork, name_of
from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_bytes
from diptych.core.progress import Reporter, Step
from diptych.core.values import Dataset
from diptych.fitting.foreign import find_config, is_foreign
from diptych.fitting.given import STAGE
from diptych.fitting.given_use import find_given
from diptych.fitting.job import Job
from diptych.fitting.members import FunctionConfig, Member
from diptych.fitting.plans.compressed import with_model
from diptych.fitting.plans.teacher import (
    member_of,
    with_bundle,
    with_member,
    with_several,
    with_teacher,
)
from diptych.fitting.recipe import FitRecipe
from diptych.fitting.scalings import is_chance
from diptych.fitting.settings import Settings, Teacher
from diptych.inference.store import is_bundle
from diptych.training.compute import tensor_of
from diptych.training.start import Start, read_start

ASKED_ITEMS = 16
NAMES_ONE = {"classification", "ordinal"}
"""Goals whose answer is one of the labels."""


def taught(recipe: FitRecipe, job: Job, settings: Settings) -> FitRecipe:
    """Put the teachers that were given in the place of the planned one.

    Args:
        recipe: The plan of the fit.
        job: The data, prepared as the first bundle among them prepares it.
        settings: The teachers.

    Returns:
        The recipe; the same one where none was given.

    Raises:
        ConfigError: If one of them cannot teach this data, or not beside the others.
    """
    if settings.given is not None:
        return with_model(recipe, find_given(settings.given, job.dataset, settings.report))
    given = settings.teachers()
    if len(given) > 1:
        return with_several(recipe, [_member(each, job, settings) for each in given])
    if not given:
        return recipe
    return _taught_by(given[0], recipe, job, settings)


def _taught_by(teacher: Teacher, recipe: FitRecipe, job: Job, settings: Settings) -> FitRecipe:
    if not isinstance(teacher, Path):
        return with_member(recipe, function_config(teacher, job.dataset))
    if is_bundle(teacher) and job.start is not None:
        return with_bundle(recipe, job.start, job.dataset)
    if is_foreign(teacher):
        config = find_config(teacher, job.dataset, settings.report, settings.output)
        return with_model(recipe, config)
    return with_teacher(recipe, teacher, job.dataset, job.machine)


def check_acquainted(job: Job, outputs: np.ndarray, report: Reporter) -> None:
    """Check that a bundle which teaches is for the data, where it has learned other data.

    Args:
        job: The data, and the bundle if it is one that teaches.
        outputs: Its logits for the validation split, (N, K).
        report: Told how much it knows.

    Raises:
        ConfigError: If it knows no more than chance, or far less than of what it has learned.
    """
    start, record = job.start, job.dataset.record
    told = start.manifest if start else None
    if start is None or told is None or job.dataset.goal not in NAMES_ONE:
        return
    if told.provenance.data.sha256 == record.sha256:
        return
    targets = job.dataset.validation.targets
    right, count = int((outputs.argmax(1) == targets).sum()), len(targets)
    knows = f"{start.name} has learned {told.provenance.data.name}: it knows {right:,} of "
    knows += f"{count:,} validation items of {record.name}"
    known = told.model.scores.get("accuracy")
    if is_chance(right, targets) or (known and right / count < known.value / 2):
        hint = "give the data that it is for, or train it on this first: "
        raise ConfigError(knows, f"{hint}diptych train DATA --start {start.path}")
    report(Step(stage=STAGE, done=1, total=1, note=knows))


def is_pretrained(teachers: Sequence[Teacher]) -> bool:
    """Say whether a teacher has yet to learn what is asked for.

    Args:
        teachers: Those that were given.

    Returns:
        Whether one of them is a folder with an encoder.
    """
    paths = [teacher for teacher in teachers if isinstance(teacher, Path)]
    return any(not is_bundle(path) and not is_foreign(path) for path in paths)


def names_of(teachers: Sequence[Teacher], dataset: Dataset) -> tuple[str, ...]:
    """Say who teaches, so that a fit that goes on knows other teachers.

    Args:
        teachers: Those that were given.
        dataset: The data.

    Returns:
        Places of files, and names of functions with the hash of some answers.
    """
    names = []
    for teacher in teachers:
        if isinstance(teacher, Path):
            names.append(str(teacher.resolve()))
        else:
            config = function_config(teacher, dataset)
            names.append(f"{config.function} {config.sha256}")
    return tuple(names)


def function_config(teacher: Teacher, dataset: Dataset) -> FunctionConfig:
    """Plan a function that teaches; it is asked about a few items.

    Args:
        teacher: The function.
        dataset: The data.

    Returns:
        Its name, and the hash of what it answers.

    Raises:
        ConfigError: If it does not answer with outputs of this data, or is no function.
    """
    if isinstance(teacher, Path) or not callable(teacher):
        raise ConfigError(f"{teacher!r} is no teacher", "give a path or a function")
    network = FunctionNetwork(teacher, len(dataset.labels))
    answers = network(tensor_of(dataset.validation.inputs[:ASKED_ITEMS])).numpy()
    return FunctionConfig(
        function=name_of(teacher), sha256=sha256_of_bytes(np.ascontiguousarray(answers).tobytes())
    )


def _member(teacher: Teacher, job: Job, settings: Settings) -> Member:
    if not isinstance(teacher, Path):
        return Member(network=function_config(teacher, job.dataset))
    if is_foreign(teacher):
        config = find_config(teacher, job.dataset, settings.report, settings.output)
        return Member(network=config)
    if not is_bundle(teacher):
        raise ConfigError(
            f"{teacher} is neither a bundle nor an ONNX file",
            "several teachers are bundles, ONNX files or functions; a folder teaches alone",
        )
    start = read_start(teacher)
    _check_prepared_alike(start, job)
    return member_of(start, job.dataset)


def _check_prepared_alike(start: Start, job: Job) -> None:
    """Check that a bundle takes inputs as the first one does."""
    first, told = job.start, start.manifest
    if first is None or first.manifest is None or told is None:
        return
    if told.input != first.manifest.input or dict(start.assets) != dict(first.assets):
        raise ConfigError(
            f"{start.name} prepares its inputs otherwise than {first.name}",
            "teachers of one fit take the same inputs: train them on the same data, of one size",
        )
