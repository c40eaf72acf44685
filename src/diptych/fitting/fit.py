"""The main job: data and a budget in, a measured bundle out, usable at any moment on the way."""

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from msgspec.structs import replace

from diptych.core.errors import ConfigError, MissingExtraError
from diptych.core.progress import Step
from diptych.core.text import nearest
from diptych.core.values import DataRecord, Dataset
from diptych.fitting import run_file
from diptych.fitting.ahead import check_jobs
from diptych.fitting.asked import check_text_or_path, check_whole, seconds_of
from diptych.fitting.budget import Budget
from diptych.fitting.fit_folder import FitFolder, FitRequest, folder_of
from diptych.fitting.job import Job, open_job
from diptych.fitting.plans import plan_fit
from diptych.fitting.plans.compressed import with_pruned
from diptych.fitting.plans.lesson import with_lesson
from diptych.fitting.plans.machines import for_device, for_jobs, for_processor
from diptych.fitting.plans.teacher import with_labels
from diptych.fitting.processes import check_shareable
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe
from diptych.fitting.reserve import reserve_programs
from diptych.fitting.session import FitSession
from diptych.fitting.settings import SETTINGS, Settings
from diptych.fitting.suits import check_suits
from diptych.fitting.teachers import is_pretrained, names_of, taught
from diptych.inference.bundle import Bundle, load
from diptych.inference.runtimes import RUNTIMES, available, obstacle, remedy
from diptych.measure.machine import describe
from diptych.targets import ALSO_CALLED, BESIDE, TARGETS, WELCOME, Runtime, lacking
from diptych.training.compute import find_device

USUAL_BUDGET = "drop<=1%"
NO_TIME = "not trained: there is no time left for it"


def fit(
    data: str | Path | Dataset,
    budget: str | Budget = USUAL_BUDGET,
    *,
    out: str | Path | None = None,
    time_limit: str | float | None = None,
    seed: int | None = None,
    settings: Settings = SETTINGS,
) -> Bundle:
    """Make the cheapest model that keeps a budget, and measure it.

    A fit that was interrupted goes on when it is called again, from a folder beside the bundle.

    Args:
        data: A built-in name, a path, or data that was read before.
        budget: Such as ``"drop<=1%, p99<=2ms, size<=500KB"``.
        out: The bundle's folder; by default the data's name with ``.dip`` in this folder.
        time_limit: Seconds, or such as ``"25m"``; the best bundle so far is there at the end.
        seed: Of everything random; by default that of the recipe, or 0.
        settings: The rest.

    Returns:
        The bundle, loaded; its ``manifest.verdict`` says whether the budget is met.

    Raises:
        ConfigError: If a setting or the budget cannot be used.
        DataError: If the data cannot be used.
        StorageError: If the bundle cannot be written.
        KeyboardInterrupt: If a person stopped it before there was anything to keep.
    """
    if settings.start is not None:
        raise ConfigError("a fit starts from the weights that its recipe names", "use train")
    check_text_or_path("out", out)
    check_whole("seed", seed)
    started = settings.begin()
    limits = budget if isinstance(budget, Budget) else Budget.parse(budget)
    seconds = seconds_of("time_limit", time_limit)
    programs = available_programs(settings.target)
    job = open_job(data, limits, out, settings.seed(seed), settings)
    check_jobs(job, settings)
    request = _request(job, settings, seed, timed=seconds is not None)
    with closing(FitFolder(folder_of(job.destination), request, settings.report)) as folder:
        recipe = folder.recipe or recipe_of(job, seed, settings, timed=seconds is not None)
        if not recipe.programs:
            recipe = replace(recipe, programs=programs)
        asked = run_file.request_of(job.source, job.destination, recipe, settings)
        check_shareable(asked, settings)
        check_programs(recipe.programs)
        deadline = None if seconds is None else started + seconds - folder.spent_s
        if seconds is not None:
            report = folder.counting(settings.clock() - started)
            settings = dataclasses.replace(settings, report=report)
        bundle = run_job(dataclasses.replace(job, fit=folder), recipe, deadline, settings)
        if not settings.stop:
            folder.remove()
    return bundle


def _sha256_of(record: DataRecord) -> str:
    """Return the hash of the data as it was split, and that of items without labels."""
    more = record.unlabelled
    return record.sha256 if more is None else f"{record.sha256} {more.sha256}"


def _request(job: Job, settings: Settings, seed: int | None, *, timed: bool) -> FitRequest:
    return FitRequest(
        data_sha256=_sha256_of(job.dataset.record),
        budget=job.budget.text,
        seed=settings.seed(seed),
        target=settings.target,
        timed=timed,
        given=settings.recipe,
        teachers=names_of(settings.teachers(), job.dataset),
        module=settings.taught_by(),
        compress=settings.compress,
        device=settings.device,
    )


def recipe_of(job: Job, seed: int | None, settings: Settings, *, timed: bool) -> FitRecipe:
    """Take the recipe that was given, or plan one; a given teacher takes its place in either.

    Args:
        job: Data, budget and machine.
        seed: Of everything random; None for the recipe's own.
        settings: The recipe, if there is one.
        timed: Whether a time limit will end the runs.

    Returns:
        The recipe, with the seed.

    Raises:
        ConfigError: If there are items without labels, and nobody to learn from them.
    """
    device = find_device(settings.device)
    if settings.recipe is None:
        recipe = plan_fit(job.dataset, job.budget, job.machine, settings.seed(seed), timed=timed)
        recipe = with_lesson(for_device(recipe, device), job.dataset)
        recipe = with_labels(recipe) if is_pretrained(settings.teachers()) else recipe
        recipe = for_jobs(recipe, settings.jobs, job.machine)
    else:
        check_suits(settings.recipe, job.dataset, networks=settings.start is None)
        recipe = for_processor(settings.recipe, job.machine, device, settings.report)
        recipe = replace(recipe, seed=settings.seed(seed))
    recipe = replace(recipe, validation_items=job.dataset.record.validation_items)
    if job.dataset.unlabelled is not None and not recipe.students:
        raise ConfigError("no student is planned to learn from items without labels", "leave them")
    recipe = taught(recipe, job, settings)
    planned = settings.recipe is None
    return with_pruned(recipe, settings.report) if settings.compress and planned else recipe


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
    with closing(session.ahead):
        if job.fit is None or job.fit.recipe is None:
            session.choose_students()
        if job.fit:
            job.fit.keep(session.recipe)
        session.train_teacher()
        session.hold_contest()
        for plan in session.recipe.students:
            if session.has_time(plan):
                session.train_student(plan)
            elif not settings.stop:
                settings.report(Step(stage=plan.name, done=1, total=1, note=NO_TIME))
                session.untrained += (plan.name,)
        session.find_cheaper()
        session.try_cascade()
        session.finish()
    return load(job.destination, golden="skip")


def available_programs(target: str) -> tuple[ProgramPlan, ...]:
    """List the programs of a target whose runtime is installed.

    Args:
        target: A kind of hardware.

    Returns:
        At least one program; those for what loses too much in 8 bits come last. bfloat16 is among
        them only where this processor has it.

    Raises:
        ConfigError: If there is no such target, or it is one of `export` alone.
        MissingExtraError: If none of its runtimes is installed, or what makes its programs is not.
    """
    if target in BESIDE:
        raise ConfigError(
            f"{target} makes {BESIDE[target]}, which no bundle holds",
            f"fit for another target, then: diptych export BUNDLE --target {target}",
        )
    if target not in TARGETS:
        hint = nearest(ALSO_CALLED.get(target.lower(), target), TARGETS)
        raise ConfigError(f"there is no target {target!r}", hint)
    choices = [choice for choice in TARGETS[target] if _can_lower(*choice)]
    if not choices:
        _refuse(target, TARGETS[target][0][0])
    choices += [choice for choice in WELCOME.get(target, ()) if _can_lower(*choice)]
    calibrated = [ProgramPlan(runtime=runtime, precision=p) for runtime, p in choices]
    rounded = [plan for plan in calibrated if plan.precision == "int8"]
    guarded = [plan for plan in rounded if plan.runtime == "onnxruntime"]
    return (
        *calibrated,
        *(plan for plan in reserve_programs(target, describe()) if _can_lower(*plan.choice)),
        *(replace(plan, method="guarded") for plan in guarded),
        *(replace(plan, method="trained") for plan in rounded),
    )


def check_programs(plans: Sequence[ProgramPlan]) -> None:
    """Check that what a recipe asks for can be made here, before anything is trained.

    Args:
        plans: The programs.

    Raises:
        MissingExtraError: If a runtime is not installed, or what makes its programs is not.
    """
    for plan in plans:
        precision = "" if plan.method == "trained" else plan.precision  # it is rounded already
        if not _can_lower(plan.runtime, precision):
            name = f"the recipe's {plan.runtime} {plan.precision} program"
            _refuse(name, plan.runtime, precision)


def _can_lower(runtime: Runtime, precision: str = "") -> bool:
    """Say whether programs for a runtime can be made here, and run or be stood in for."""
    runs = available(runtime) or bool(RUNTIMES[runtime].stand_in)
    return runs and lacking(runtime, precision) is None


def _refuse(target: str, runtime: Runtime, precision: str = "") -> NoReturn:
    """Say what a target needs."""
    if absent := lacking(runtime, precision):
        library, extra = absent
        reason = f"{target} needs {library}, which is not installed"
        raise MissingExtraError(reason, f"pip install 'diptych[{extra}]'")
    raise MissingExtraError(f"{target} needs {runtime}: {obstacle(runtime)}", remedy(runtime))
