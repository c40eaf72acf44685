"""The main job: data and a budget in, a measured bundle out, usable at any moment on the way."""

from pathlib import Path

from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.progress import Step
from diptych.core.text import nearest, parse_duration
from diptych.core.values import Dataset
from diptych.data import read
from diptych.fitting.assembly import Job
from diptych.fitting.budget import Budget
from diptych.fitting.planner import plan_fit
from diptych.fitting.recipe import FitRecipe, ProgramPlan
from diptych.fitting.session import FitSession
from diptych.fitting.settings import SETTINGS, Settings
from diptych.inference import store
from diptych.inference.bundle import Bundle, load
from diptych.inference.runtimes import available
from diptych.measure.machine import describe
from diptych.targets import TARGETS

USUAL_BUDGET = "drop<=1%"


def fit(
    data: str | Path | Dataset,
    budget: str | Budget = USUAL_BUDGET,
    *,
    out: str | Path | None = None,
    time_limit: str | float | None = None,
    seed: int = 0,
    settings: Settings = SETTINGS,
) -> Bundle:
    """Make the cheapest model that keeps a budget, and measure it.

    Args:
        data: A built-in name, a path, or data that was read before.
        budget: Such as ``"drop<=1%, p99<=2ms, size<=500KB"``.
        out: The bundle's folder; by default the data's name with ``.dip`` in this folder.
        time_limit: Seconds, or such as ``"25m"``; the best bundle so far is there at the end.
        seed: Of everything random.
        settings: The rest.

    Returns:
        The bundle, loaded; its ``manifest.verdict`` says whether the budget is met.

    Raises:
        ConfigError: If a setting or the budget cannot be used.
        DataError: If the data cannot be used.
        StorageError: If the bundle cannot be written.
        KeyboardInterrupt: If a person stopped it before there was anything to keep.
    """
    started = settings.begin()
    limits = budget if isinstance(budget, Budget) else Budget.parse(budget)
    seconds = parse_duration(time_limit) if isinstance(time_limit, str) else time_limit
    programs = available_programs(settings.target)
    if out is not None:
        store.check_destination(Path(out))
    dataset = data if isinstance(data, Dataset) else read_data(data, seed, settings)
    destination = Path(out) if out is not None else Path(f"{dataset.record.name}.dip")
    store.check_destination(destination)
    machine = describe()
    recipe = settings.recipe or plan_fit(dataset, limits, machine, seed, timed=seconds is not None)
    if not recipe.programs:
        recipe = replace(recipe, programs=programs)
    job = Job(dataset=dataset, budget=limits, machine=machine, destination=destination)
    deadline = None if seconds is None else started + seconds
    return run_job(job, recipe, deadline, settings)


def run_job(job: Job, recipe: FitRecipe, deadline: float | None, settings: Settings) -> Bundle:
    """Carry out a recipe; after each model the best bundle so far is written.

    Args:
        job: Data, budget, machine and destination.
        recipe: What to train and lower.
        deadline: When to be done, in seconds of the settings' clock.
        settings: Clock, progress, stop request.

    Returns:
        The bundle, loaded.

    Raises:
        KeyboardInterrupt: If a person stopped it before training began.
    """
    if settings.stop:
        raise KeyboardInterrupt
    session = FitSession(job, recipe, deadline, settings)
    session.train_teacher()
    for plan in recipe.students:
        if session.has_time():
            session.train_student(plan)
    session.finish()
    return load(job.destination, golden="skip")


def available_programs(target: str) -> tuple[ProgramPlan, ...]:
    """List the programs of a target whose runtime is installed.

    Args:
        target: A kind of hardware.

    Returns:
        At least one program.

    Raises:
        ConfigError: If there is no such target.
    """
    if target not in TARGETS:
        raise ConfigError(f"there is no target {target!r}", nearest(target, TARGETS))
    return tuple(
        ProgramPlan(runtime=runtime, precision=precision)
        for runtime, precision in TARGETS[target]
        if available(runtime)
    )


def read_data(data: str | Path, seed: int, settings: Settings) -> Dataset:
    """Read data as the settings say.

    Args:
        data: A built-in name or a path.
        seed: Of the splits that have to be made.
        settings: Label column, picture size, what to do with damaged items.

    Returns:
        The data set.
    """
    dataset = read(
        data,
        seed=seed,
        target=settings.label,
        image_size=settings.image_size,
        skip_unreadable=settings.skip_unreadable,
        report=settings.report,
    )
    note = (
        f"{dataset.task}, {len(dataset.labels)} classes, {len(dataset.train):,} items to train on"
    )
    settings.report(Step(stage="read", done=1, total=1, note=note))
    return dataset
