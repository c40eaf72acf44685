"""``diptych train``: train one model."""

from typer import Context

from diptych.cli.fit import STOPPING, document
from diptych.cli.options import (
    DataArgument,
    ImageSizeOption,
    JsonOption,
    LabelOption,
    OrderOption,
    OutOption,
    RecipeOption,
    SeedOption,
    SkipOption,
    TaskOption,
    TimeLimitOption,
    order_of,
    task_of,
)
from diptych.cli.output import note, print_json, progress
from diptych.core.progress import stop_on_interrupt
from diptych.core.text import duration, quantity
from diptych.fitting.recipe import read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.train import train


def command(
    context: Context,
    data: DataArgument,
    out: OutOption = None,
    time_limit: TimeLimitOption = None,
    seed: SeedOption = None,
    recipe: RecipeOption = None,
    label: LabelOption = None,
    task: TaskOption = None,
    order: OrderOption = None,
    image_size: ImageSizeOption = None,
    skip_unreadable: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train one model and keep it in a bundle; no compression, no budget."""
    with progress() as report, stop_on_interrupt(lambda: note(STOPPING)) as stop:
        goal, own = task_of(task)
        settings = Settings(
            recipe=read_recipe(recipe) if recipe else None,
            label=label,
            goal=goal,
            task=own,
            order=order_of(order),
            image_size=image_size,
            skip_unreadable=skip_unreadable,
            report=report,
            stop=stop,
            started=context.obj,
        )
        bundle = train(data, out=out, time_limit=time_limit, seed=seed, settings=settings)
    with bundle:
        manifest = bundle.manifest
        if as_json:
            print_json(document(bundle.path, manifest))
            return
        score = manifest.model.score
        interval = f"{quantity(score.low, 'fraction')} to {quantity(score.high, 'fraction')}"
        print(
            f"{manifest.score_name} {quantity(score.value, 'fraction')} ({interval}, "
            f"n {score.n:,}), "
            f"{manifest.model.parameters:,} parameters, "
            f"trained in {duration(manifest.training.seconds)}"
        )
        print(f"bundle: {bundle.path}")
