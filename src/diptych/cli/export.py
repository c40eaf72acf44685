"""``diptych export``: a finished bundle for another kind of hardware."""

from collections.abc import Sequence
from contextlib import nullcontext
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
from diptych.core.progress import StopRequest, stop_on_interrupt
from diptych.core.text import size
from diptych.fitting.beside import write_beside
from diptych.fitting.export import Lowered, add_programs, measure_again
from diptych.fitting.settings import Settings
from diptych.targets import BESIDE, NATIVE, TARGETS

STOPPING = "stopping (Ctrl-C again to leave at once)"
HEADER = ("program", "precision", "size", "largest difference", "flips", "runs here")


def command(
    bundle: BundleArgument,
    target: Annotated[str, Option(help=f"Kind of hardware: {', '.join((*TARGETS, *BESIDE))}.")],
    data: Annotated[
        str | None,
        Option(help="What the bundle was made of: calibrate int8, and measure the bundle anew."),
    ] = None,
    out: Annotated[
        Path | None,
        Option(help="The new bundle's folder [NAME-TARGET.dip], or file [NAME.pt2, .pte]."),
    ] = None,
    label: LabelOption = None,
    task: TaskOption = None,
    skip_unreadable: SkipOption = False,
    as_json: JsonOption = False,
) -> int:
    """Lower a finished bundle for another kind of hardware; nothing is trained."""
    measures = data is not None and target not in BESIDE
    stopping = stop_on_interrupt(lambda: note(STOPPING)) if measures else nullcontext(StopRequest())
    with progress() as report, stopping as stop:
        settings = Settings(
            label=label,
            task=task_of(task)[1],
            skip_unreadable=skip_unreadable,
            report=report,
            stop=stop,
        )
        if target in BESIDE:
            path, file = write_beside(bundle, target, data, out, settings)
            lowered: Sequence[Lowered] = (file,)
        elif data is None:
            path, lowered = add_programs(bundle, target, out, settings)
        else:
            made = measure_again(bundle, target, data, out, settings)
    if measures:
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
    elif target in BESIDE:
        lines.append("latency on a phone is not known here; --data DATA calibrates int8")
    else:
        lines.append("the figures of the bundle stay those of its first program;")
        lines.append("--data DATA measures a new bundle, in int8 too")
    return "\n".join([*lines, "", f"out: {path}"])
