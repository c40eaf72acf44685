"""``diptych train``: train one model."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Option

from diptych.cli.fit import STOPPING, document
from diptych.cli.output import note, print_json, progress
from diptych.core.progress import stop_on_interrupt
from diptych.core.text import duration, quantity
from diptych.fitting.recipe import read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.train import train


def command(
    context: Context,
    data: Annotated[str, Argument(help="A built-in name (digits) or a path.", metavar="DATA")],
    out: Annotated[Path | None, Option(help="The bundle's folder [NAME.dip].")] = None,
    time_limit: Annotated[str | None, Option(help="Such as 90s, 25m or 1.5h.")] = None,
    seed: Annotated[int, Option(help="Of everything random.")] = 0,
    recipe: Annotated[
        Path | None, Option(help="A .toml recipe, or a bundle; its teacher is trained.")
    ] = None,
    label: Annotated[str | None, Option(help="The label's column, for tables.")] = None,
    image_size: Annotated[int | None, Option(help="Side of the pictures, in pixels.")] = None,
    skip_unreadable: Annotated[
        bool, Option("--skip-unreadable", help="Leave damaged items out and count them.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train one model and keep it in a bundle; no compression, no budget."""
    with progress() as report, stop_on_interrupt(lambda: note(STOPPING)) as stop:
        settings = Settings(
            recipe=read_recipe(recipe) if recipe else None,
            label=label,
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
        accuracy = manifest.model.accuracy
        interval = f"{quantity(accuracy.low, 'fraction')} to {quantity(accuracy.high, 'fraction')}"
        print(
            f"accuracy {quantity(accuracy.value, 'fraction')} ({interval}, n {accuracy.n:,}), "
            f"{manifest.model.parameters:,} parameters, "
            f"trained in {duration(manifest.training.seconds)}"
        )
        print(f"bundle: {bundle.path}")
