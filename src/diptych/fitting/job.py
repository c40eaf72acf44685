"""The job of a fit or a training: what it is about and does not change while it runs."""

from dataclasses import dataclass
from pathlib import Path

from diptych.core.errors import ConfigError
from diptych.core.manifest import Machine
from diptych.core.progress import Step
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.unlabelled import with_unlabelled
from diptych.fitting.budget import Budget, check_terms
from diptych.fitting.fit_folder import FitFolder
from diptych.fitting.foreign import is_foreign
from diptych.fitting.settings import Settings
from diptych.fitting.starting import read_alike
from diptych.inference import store
from diptych.inference.store import is_bundle
from diptych.measure.machine import describe
from diptych.tasks.goals import kind_of
from diptych.training.compute import find_device
from diptych.training.pretrained import check_folder
from diptych.training.run_folder import RunFolder
from diptych.training.start import Start, read_start


@dataclass(frozen=True, kw_only=True)
class Job:
    """Data, limits, where it runs, where the bundle goes, and the folder of a run or of a fit.

    `start` is what a training starts from, or the bundle that teaches. `source` is where the data
    was read; None where it was handed over.
    """

    dataset: Dataset
    budget: Budget
    machine: Machine
    destination: Path
    run: RunFolder | None = None
    fit: FitFolder | None = None
    start: Start | None = None
    source: str | Path | None = None


def open_job(
    data: str | Path | Dataset,
    budget: Budget,
    out: str | Path | None,
    seed: int,
    settings: Settings,
) -> Job:
    """Read the data, and make sure before any work that device, teacher and the bundle's place do.

    Args:
        data: A built-in name, a path, or data that was read before.
        budget: The limits.
        out: The bundle's folder; by default the data's name with ``.dip`` in this folder.
        seed: Of the splits that have to be made.
        settings: How to read.

    Returns:
        The job.

    Raises:
        ConfigError: If the bundle would take the place of its own teacher.
    """
    find_device(settings.device)
    if out is not None:
        store.check_destination(Path(out))
    paths = [teacher for teacher in settings.teachers() if isinstance(teacher, Path)]
    for path in paths:
        if is_bundle(path) or is_foreign(path):
            continue
        if not path.exists():
            hint = "give a bundle, an .onnx file or a Hugging Face folder: nothing is downloaded"
            raise ConfigError(f"there is no teacher {str(path)!r}", hint)
        check_folder(path)
    source = settings.source_of_weights()
    start = None if source is None else read_start(source)
    dataset = data if isinstance(data, Dataset) else read_data(data, seed, settings, start)
    if settings.unlabelled is not None:
        dataset = with_unlabelled(
            dataset,
            settings.unlabelled,
            settings.report,
            skip_unreadable=settings.skip_unreadable,
        )
    check_terms(budget, kind_of(dataset))
    destination = Path(out) if out is not None else Path(f"{dataset.record.name}.dip")
    store.check_destination(destination)
    if destination.resolve() in {path.resolve() for path in paths}:
        raise ConfigError(
            f"the bundle would take the place of its teacher {destination}", "give --out"
        )
    if is_bundle(destination):
        note = f"{destination}, which is there already, will be replaced"
        settings.report(Step(stage="out", done=1, total=1, note=note))
    return Job(
        dataset=dataset,
        budget=budget,
        machine=describe(),
        destination=destination,
        start=start,
        source=None if isinstance(data, Dataset) else data,
    )


def read_data(data: str | Path, seed: int, settings: Settings, start: Start | None) -> Dataset:
    """Read the data of a job, and say what it is.

    Args:
        data: A built-in name or a path.
        seed: Of the splits that have to be made.
        settings: How to read.
        start: Weights for which the data is prepared alike, if any.

    Returns:
        The data set.

    Raises:
        ConfigError: If items are asked to be held back, and cannot be.
    """
    options = settings.reading(seed)
    options = read_alike(options, start) if start else options
    dataset = read(data, options, settings.report)
    _check_held_back(settings.validation_items, dataset)
    _tell_held_back(options.validation_items, dataset, settings)
    noun = "labels" if dataset.goal == "multi-label" else "classes"
    told = dataset.labels[0] if dataset.goal == "regression" else f"{len(dataset.labels)} {noun}"
    note = f"{dataset.task}, {told}, {len(dataset.train):,} items to train on"
    settings.report(Step(stage="read", done=1, total=1, note=note))
    return dataset


def _check_held_back(wanted: int | None, dataset: Dataset) -> None:
    if wanted is None:
        return
    name, held = dataset.record.name, len(dataset.validation)
    if "validation" in dataset.record.given_splits:
        raise ConfigError(
            f"{name} has a validation split of its own, of {held:,} items",
            "leave --validation-items out",
        )
    if held < wanted:
        raise ConfigError(
            f"{name} cannot hold back {wanted:,} of {held + len(dataset.train):,} items",
            f"choose at most {held:,}",
        )


def _tell_held_back(wanted: int | None, dataset: Dataset, settings: Settings) -> None:
    """Say where fewer items are held back than a recipe, or what a training starts from, says."""
    held = len(dataset.validation)
    if wanted is not None and "validation" not in dataset.record.given_splits and held < wanted:
        note = f"{held:,} items are held back for validation, and not {wanted:,}: there are too few"
        settings.report(Step(stage="validation", done=1, total=1, note=note))
