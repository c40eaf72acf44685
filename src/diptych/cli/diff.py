"""``diptych diff``: what a bundle loses and gains against another one."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from diptych.cli.options import (
    DataArgument,
    JsonOption,
    LabelOption,
    NoCacheOption,
    SkipOption,
    TaskOption,
    task_of,
)
from diptych.cli.output import figure, plain, print_json, progress, table, verdict_table
from diptych.fitting.answering import Reading
from diptych.fitting.budget import Budget
from diptych.fitting.difference import Difference, Figure, difference
from diptych.fitting.fit import USUAL_BUDGET
from diptych.inference.bundle import load
from diptych.reporting.damage import line

UNMET = 3
OTHER_MACHINES = (
    "note: the bundles were measured on different processors; compare times with: diptych bench"
)


def command(
    first: Annotated[Path, Argument(help="The bundle that is there.", metavar="FIRST")],
    second: Annotated[Path, Argument(help="The one that may take its place.", metavar="SECOND")],
    data: DataArgument,
    budget: Annotated[
        str, Option(help="Limits of the second; a drop is against the first.")
    ] = USUAL_BUDGET,
    label: LabelOption = None,
    task: TaskOption = None,
    skip_unreadable: SkipOption = False,
    no_cache: NoCacheOption = False,
    as_json: JsonOption = False,
) -> int:
    """Compare two bundles on the same labelled items; 3 unless every limit is kept."""
    limits, own = Budget.parse(budget), task_of(task)[1]
    with (
        progress() as report,
        load(first, task=own) as old,
        load(second, task=own) as new,
    ):
        reading = Reading(
            data=data,
            label=label,
            skip_unreadable=skip_unreadable,
            cache=not no_cache,
            report=report,
        )
        result = difference(old, new, reading, limits)
    if as_json:
        print_json(plain(result))
    else:
        print(summary(result))
    return 0 if result.verdict == "PASS" else UNMET


def summary(result: Difference) -> str:
    """Lay a difference out for people.

    Args:
        result: The difference.

    Returns:
        The figures of both, the damage, and the verdicts.
    """
    rows = [_row(each) for each in (*result.scores, *result.recorded)]
    lines = [
        f"{result.n:,} items ({result.items})",
        "",
        table(("figure", result.first, result.second), rows),
        "",
        f"damage: {line(result.damage)}",
    ]
    if result.recorded and not result.one_machine:
        lines.append(OTHER_MACHINES)
    if result.terms:
        lines += ["", verdict_table(result.terms)]
    return "\n".join([*lines, "", str(result.verdict)])


def _row(both: Figure) -> tuple[str, str, str]:
    name = both.name if both.comparable else f"{both.name} (not comparable)"
    sides = ((both.first, both.first_label), (both.second, both.second_label))
    first, second = (f"{figure(one, both.unit)} {label or ''}".rstrip() for one, label in sides)
    return name, first, second
