"""Training alone: one model, lowered as it is, in a bundle like any other; it can be resumed."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from diptych.core.errors import ConfigError, StorageError, TrainingError
from diptych.core.progress import Step
from diptych.core.values import Dataset
from diptych.fitting import run_file
from diptych.fitting.asked import check_text_or_path, check_whole, seconds_of
from diptych.fitting.budget import Budget
from diptych.fitting.fit import recipe_of, run_job
from diptych.fitting.fit_folder import beside
from diptych.fitting.job import Job, open_job
from diptych.fitting.plans.teacher import fine_tuning
from diptych.fitting.processes import check_shareable
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import UNTRAINED, FitRecipe, ModelPlan
from diptych.fitting.run_file import RunFile
from diptych.fitting.settings import SETTINGS, Settings
from diptych.fitting.starting import with_start
from diptych.fitting.suits import check_suits
from diptych.inference.bundle import Bundle
from diptych.training.checkpoint import Checkpoint
from diptych.training.models import HuggingFaceConfig, TimmConfig
from diptych.training.models.huggingface import check_same_items
from diptych.training.run_folder import RunFolder, is_left_over

NO_BUDGET = Budget()
AS_TRAINED = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)
Data = str | Path | Dataset


def train(
    data: Data,
    *,
    out: str | Path | None = None,
    time_limit: str | float | None = None,
    seed: int | None = None,
    settings: Settings = SETTINGS,
) -> Bundle:
    """Train one model on labelled data; the same seed, machine and versions give the same weights.

    The run has a folder beside the bundle, with checkpoints and records; see :func:`resume`.

    Args:
        data: A built-in name, a path, or data that was read before.
        out: The bundle's folder; by default the data's name with ``.dip`` in this folder.
        time_limit: Seconds, or such as ``"25m"``; without it the weights depend on nothing timed.
        seed: Of everything random; by default that of the recipe, or 0.
        settings: The rest; of a recipe only the first network is trained.

    Returns:
        The bundle, loaded.

    Raises:
        ConfigError: If there is a teacher among the settings, or the run's folder holds one that
            can go on, is another one, or is in the bundle.
    """
    if settings.teacher is not None or settings.unlabelled is not None:
        raise ConfigError("train makes one model without a teacher, from labels", "use fit")
    check_text_or_path("out", out)
    check_whole("seed", seed)
    started = settings.begin()
    seconds = seconds_of("time_limit", time_limit)
    job = open_job(data, NO_BUDGET, out, settings.seed(seed), settings)
    plan = recipe_of(job, seed, settings, timed=seconds is not None)
    model = _model_of(plan, job, settings)
    recipe = replace(plan, teacher=model, students=(), programs=AS_TRAINED)
    request = _request(data, job, recipe, seconds, settings)
    check_shareable(request, settings)
    path = settings.run or run_folder_of(job.destination)
    _check_apart(path, job.destination)
    with closing(_fresh_folder(path, settings)) as folder, _kept_for_later(path):
        run_file.write(path, request)
        deadline = None if seconds is None else started + seconds
        return run_job(dataclasses.replace(job, run=folder), recipe, deadline, settings)


def resume(
    run: str | Path,
    data: Data | None = None,
    *,
    out: str | Path | None = None,
    devices: int | None = None,
    settings: Settings = SETTINGS,
) -> Bundle:
    """Go on with a training that was interrupted, from its last checkpoint.

    Without a time limit, and on a processor, the weights are those of an uninterrupted training.

    Args:
        run: The run's folder.
        data: What it trains on; by default from where it was read. It must be the same data.
        out: The bundle's folder; by default that which the training was given.
        devices: By how many processes, 1 too; by default those of the settings where they are
            several, else as many as before.
        settings: Progress and stop request, and the user's own task where it is one.

    Returns:
        The bundle, loaded.

    Raises:
        ConfigError: If the folder is none of a run, or something has to be given again; or if the
            data is not that of the run.
    """
    started, path = settings.begin(), Path(run)
    request = run_file.read(path)
    check_whole("devices", devices, least=1)
    if devices is not None:
        request = replace(request, devices=devices)
        settings = dataclasses.replace(settings, devices=devices)
    source = request.data if data is None else data
    if source is None:
        raise ConfigError(f"{path} was given data that was read before", "give it again")
    if request.task is not None and settings.task is None:
        raise ConfigError(f"{path} is about the task {request.task!r}", "give it again as --task")
    if settings.shard and not request.shard:
        raise ConfigError(f"each process of {path} has all weights", "leave --shard out")
    settings = run_file.settings_of(request, settings)
    check_shareable(request, settings)
    if out is not None:
        request = replace(request, out=str(Path(out).resolve()))
    with closing(RunFolder(path, _warn(settings))) as folder:
        job = open_job(source, NO_BUDGET, request.out, request.seed, settings)
        kept = folder.latest()
        _check_data(path, job, request, kept)
        spent = kept.position.seconds if kept else 0.0
        left = None if request.seconds is None else started + request.seconds - spent
        with _kept_for_later(path):
            run_file.write(path, request)
            return run_job(dataclasses.replace(job, run=folder), request.recipe, left, settings)


def run_folder_of(bundle: Path) -> Path:
    """Say where a training's folder is by default.

    Args:
        bundle: Where its bundle will be.

    Returns:
        Beside it, such as ``digits.run`` for ``digits.dip``.
    """
    return beside(bundle, ".run")


def steps_left(run: str | Path) -> int:
    """Say how much of a training is still to be done.

    Args:
        run: The run's folder, which no process has.

    Returns:
        Steps; 0 where it is over, or has not begun.
    """
    with closing(RunFolder(Path(run), lambda text: None)) as folder:
        kept = folder.latest()
    return kept.position.remaining if kept else 0


def _model_of(plan: FitRecipe, job: Job, settings: Settings) -> ModelPlan:
    """Return the plan of the network to train; one that is given keeps all but its start.

    An encoder that training starts from is the network in any case.
    """
    networks = [each for each in (plan.teacher, *plan.students) if _is_network(each)]
    if job.start is None or settings.start is None:
        return networks[0]
    network = job.start.network()
    encoder = network if isinstance(network, HuggingFaceConfig | TimmConfig) else None
    if encoder is not None:
        check_same_items(encoder.preparation, job.dataset.spec)
    if settings.recipe is not None:
        return replace(networks[0], network=encoder or networks[0].network, start=job.start.plan)
    if job.start.encoder is not None:
        training = fine_tuning(networks[0].training, job.dataset, job.machine)
        networks = [replace(networks[0], training=training)]
    return with_start(networks, job.start)


def _request(
    data: Data, job: Job, recipe: FitRecipe, seconds: float | None, settings: Settings
) -> RunFile:
    start = recipe.teacher.start
    if start is not None:
        start = replace(start, path=str(start.source.resolve()))
        recipe = replace(recipe, teacher=replace(recipe.teacher, start=start))
    source = None if isinstance(data, Dataset) else data
    request = run_file.request_of(source, job.destination, recipe, settings)
    return replace(request, seconds=seconds)


def _check_apart(run: Path, bundle: Path) -> None:
    """Check that a run's folder is not in a bundle, which is written as a whole in the end."""
    if run.resolve().is_relative_to(bundle.resolve()):
        raise ConfigError(
            f"the run's folder {run} would be in the bundle {bundle}", "choose another --run"
        )


def _check_data(run: Path, job: Job, request: RunFile, kept: Checkpoint | None) -> None:
    """Check that a run goes on with its data, before a network is built for it."""
    if kept is None:
        check_suits(request.recipe, job.dataset)
    elif kept.position.data_sha256 != job.dataset.record.sha256:
        raise ConfigError(
            f"{run} began with other data than {job.dataset.record.name} is now",
            "give the same data, or start another run",
        )


def _fresh_folder(path: Path, settings: Settings) -> RunFolder:
    """Open a folder for a new run; one that is over, or that nobody can go on with, makes room."""
    if path.is_dir() and any(path.iterdir()) and not is_left_over(path):
        _check_run(path)
    with ExitStack() as stack:
        folder = stack.enter_context(closing(RunFolder(path, _warn(settings))))
        if run_file.is_readable(path):
            _check_over(path, folder)
        folder.clear()
        stack.pop_all()
    return folder


def _check_run(path: Path) -> None:
    """Check that what is in a folder belongs to a run, and may make room for another."""
    try:
        run_file.read(path)
    except ConfigError as error:
        hint = "choose another --run, or another --out where none is given"
        raise ConfigError(error.message, hint) from error


def _check_over(path: Path, folder: RunFolder) -> None:
    try:
        kept = folder.latest()
    except TrainingError:  # told of; nobody can go on from there
        return
    if kept is not None and kept.position.remaining:
        at = kept.position
        raise ConfigError(
            f"{path} holds a run that is at step {at.step:,} of {at.step + at.remaining:,}",
            f"go on with it: diptych train --resume {path}; or remove it",
        )


@contextmanager
def _kept_for_later(run: Path) -> Iterator[None]:
    """Say how to go on where something cannot be written: what was trained is not lost."""
    try:
        yield
    except StorageError as error:
        hint = f"make room, then go on: diptych train --resume {run} (with --out, elsewhere)"
        raise StorageError(error.message, hint) from error


def _warn(settings: Settings) -> Callable[[str], None]:
    return lambda text: settings.report(Step(stage="resume", done=1, total=1, note=text))


def _is_network(plan: ModelPlan) -> bool:
    return not isinstance(plan.network, UNTRAINED)
