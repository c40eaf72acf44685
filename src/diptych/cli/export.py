"""``diptych export``: a finished bundle for another kind of hardware."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Option

from diptych.cli.fit import UNMET, document, summary
from diptych.cli.options import (
    BundleArgument,
    JsonOption,
    LabelOption,
    SkipOption,
    TaskOption,
    task_of,
)
from diptych.cli.output import note, print_json, progress, table
from diptych.core.errors import ConfigError
from diptych.core.progress import stop_on_interrupt
from diptych.core.text import size
from diptych.fitting.export import Lowered, add_programs, compile_for_torch, measure_again
from diptych.fitting.settings import Settings
from diptych.targets import NATIVE, TARGETS

STOPPING = "stopping (Ctrl-C again to leave at once)"
HEADER = ("program", "precision", "size", "largest difference", "flips", "runs here")


def command(
    bundle: BundleArgument,
    target: Annotated[str, Option(help=f"Kind of hardware: {', '.join((*TARGETS, NATIVE))}.")],
    data: Annotated[
        str | None,
        Option(help="What the bundle was made of: calibrate int8 and measure the bundle anew."),
    ] = None,
    out: Annotated[
        Path | None, Option(help="The new bundle's folder [NAME-TARGET.dip], or NAME.pt2.")
    ] = None,
    label: LabelOption = None,
    task: TaskOption = None,
    skip_unreadable: SkipOption = False,
    as_json: JsonOption = False,
) -> int:
    """Lower a finished bundle for another kind of hardware; nothing is trained."""
    if target == NATIVE and data is not None:
        raise ConfigError(f"{target} needs no data", "leave --data out")
    with progress() as report, stop_on_interrupt(lambda: note(STOPPING)) as stop:
        settings = Settings(
            label=label,
            task=task_of(task)[1],
            skip_unreadable=skip_unreadable,
            report=report,
            stop=stop,
        )
        if target == NATIVE:
            path, package = compile_for_torch(bundle, out, settings)
            lowered: Sequence[Lowered] = (package,)
        elif data is None:
            path, lowered = add_programs(bundle, target, out, settings)
        else:
            made = measure_again(bundle, target, data, out, settings)
    if data is not None:
        with made:
            if as_json:
                print_json(document(made.path, made.manifest))
            else:
                print(summary(made.path, made.manifest))
        return 0 if made.manifest.verdict == "PASS" else UNMET
    if as_json:
        print_json({"out": str(path), "target": target, "lowered": lowered})
    else:
        print(page(path, target, lowered))
    return 0


def page(path: Path, target: str, lowered: Sequence[Lowered]) -> str:
    """Lay out what was lowered for a person.

    Args:
        path: Where it is.
        target: For which kind of hardware.
        lowered: The programs, or the package.

    Returns:
        A table, and what to know of it.
    """
    rows = [
        (
            each.name,
            each.precision,
            size(each.size_bytes),
            f"{each.max_difference:.2g}",
            f"{each.flips} of {each.n}",
            f"unverified: {each.unverified}" if each.unverified else "yes",
        )
        for each in lowered
    ]
    lines = [table(HEADER, rows), ""]
    if target == NATIVE:
        lines.append("this is machine code: whoever opens it runs it, so no bundle holds it")
    else:
        lines.append("the figures of the bundle stay those of its first program;")
        lines.append("--data DATA measures a new bundle, in int8 too")
    return "\n".join([*lines, "", f"out: {path}"])
