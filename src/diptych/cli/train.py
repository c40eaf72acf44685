"""``diptych train``: train one model."""

import os
import signal
from dataclasses import replace

from typer import Context

from diptych.cli.fit import STOPPING, document
from diptych.cli.options import (
    AccumulationOption,
    CheckpointOption,
    DeviceOption,
    DevicesOption,
    ImageSizeOption,
    JsonOption,
    LabelOption,
    NoCacheOption,
    OptionalDataArgument,
    OrderOption,
    OutOption,
    RecipeOption,
    ResumeOption,
    RunOption,
    SeedOption,
    ShardOption,
    SkipOption,
    StartOption,
    TaskOption,
    TimeLimitOption,
    TuneOption,
    ValidationOption,
    order_of,
    task_of,
)
from diptych.cli.output import figure, interval, is_known, note, print_json, progress
from diptych.core.errors import ConfigError
from diptych.core.manifest import Manifest
from diptych.core.progress import silent, stop_on_interrupt
from diptych.core.text import duration, parse_duration
from diptych.fitting.launched import follow, launched
from diptych.fitting.recipe import read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.train import resume as go_on
from diptych.fitting.train import run_folder_of, steps_left, train
from diptych.tasks.goals import unit_of


def command(
    context: Context,
    data: OptionalDataArgument = None,
    out: OutOption = None,
    time_limit: TimeLimitOption = None,
    seed: SeedOption = None,
    recipe: RecipeOption = None,
    start: StartOption = None,
    label: LabelOption = None,
    task: TaskOption = None,
    order: OrderOption = None,
    image_size: ImageSizeOption = None,
    validation_items: ValidationOption = None,
    skip_unreadable: SkipOption = False,
    no_cache: NoCacheOption = False,
    device: DeviceOption = None,
    devices: DevicesOption = 1,
    shard: ShardOption = False,
    accumulation: AccumulationOption = None,
    tune: TuneOption = False,
    run: RunOption = None,
    checkpoint_every: CheckpointOption = "60s",
    resume: ResumeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train one model and keep it in a bundle; no compression, no budget."""
    fixed = {
        "--time-limit": time_limit,
        "--seed": seed,
        "--recipe": recipe,
        "--start": start,
        "--label": label,
        "--order": order,
        "--image-size": image_size,
        "--validation-items": validation_items,
        "--run": run,
        "--skip-unreadable": skip_unreadable or None,
        "--no-cache": no_cache or None,
        "--tune": tune or None,
    }
    with progress() as report, stop_on_interrupt(lambda: note(STOPPING)) as stop:
        goal, own = task_of(task)
        fixed["--task"] = None if own else goal
        settings = Settings(
            recipe=read_recipe(recipe) if recipe else None,
            start=start,
            label=label,
            goal=goal,
            task=own,
            order=order_of(order),
            image_size=image_size,
            validation_items=validation_items,
            skip_unreadable=skip_unreadable,
            cache=not no_cache,
            device=device,
            devices=devices,
            shard=shard,
            tune=tune,
            run=run,
            checkpoint_s=parse_duration(checkpoint_every),
            report=report,
            stop=stop,
            started=context.obj,
        )
        settings = launched(os.environ, settings, accumulation)
        if settings.meeting is not None:  # torchrun ends processes so, before it starts others
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if settings.meeting is not None and settings.meeting.rank:
            follow(data, settings.meeting, replace(settings, report=silent))
            return
        if resume is not None:
            _check_resumed([name for name, value in fixed.items() if value is not None])
            chosen = devices if _is_given(context, "devices") and not settings.meeting else None
            bundle = go_on(resume, data, out=out, devices=chosen, settings=settings)
        elif data is None:
            raise ConfigError("train needs DATA", "such as: diptych train digits")
        else:
            bundle = train(data, out=out, time_limit=time_limit, seed=seed, settings=settings)
    folder = resume or run or run_folder_of(bundle.path)
    if stop and steps_left(folder):
        note(f"the training is not over; go on with it: diptych train --resume {folder}")
    with bundle:
        manifest = bundle.manifest
        if as_json:
            print_json(document(bundle.path, manifest))
            return
        print(summary(manifest))
        print(f"bundle: {bundle.path}")


def summary(manifest: Manifest) -> str:
    """Say in one line what came out.

    Args:
        manifest: What is in the bundle.

    Returns:
        The main score and how it was had, the parameters, and the time.
    """
    score, unit = manifest.model.score, unit_of(manifest.score_name)
    known = f"{interval(score, unit)}, n {score.n:,}" if is_known(score) else score.method
    return (
        f"{manifest.score_name} {figure(score, unit)} ({known}), "
        f"{manifest.model.parameters:,} parameters, "
        f"trained in {duration(manifest.training.seconds)}"
    )


def _is_given(context: Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _check_resumed(given: list[str]) -> None:
    """Check that a run that goes on is not told to be another."""
    if given:
        raise ConfigError(
            f"{', '.join(given)} cannot change in a run that goes on",
            "leave it out, or start another run",
        )
