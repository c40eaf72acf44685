"""diptych inspect: what the data holds and what is wrong with it."""

from diptych.cli.options import (
    DataArgument,
    ImageSizeOption,
    JsonOption,
    LabelOption,
    NoCacheOption,
    OrderOption,
    SeedOption,
    TaskOption,
    order_of,
    task_of,
)
from diptych.cli.output import print_json, progress, table
from diptych.data.inspection import Inspection, inspect
from diptych.data.raw import SPLITS
from diptych.data.reading import Options

MOST_CLASSES, MOST_SKIPPED = 30, 10


def command(
    data: DataArgument,
    label: LabelOption = None,
    task: TaskOption = None,
    order: OrderOption = None,
    image_size: ImageSizeOption = None,
    no_cache: NoCacheOption = False,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what DATA holds and what is wrong with it; nothing is written."""
    goal, own = task_of(task)
    options = Options(
        seed=seed or 0,
        target=label,
        goal=goal,
        task=own,
        order=order_of(order),
        image_size=image_size,
        cache=not no_cache,
    )
    with progress() as report:
        found = inspect(data, options, report)
    if as_json:
        print_json(found)
    else:
        print(page(found))


def page(found: Inspection) -> str:
    """Lay out an inspection for a person.

    Args:
        found: The inspection.

    Returns:
        Its lines, without a final newline.
    """
    tensor = found.input.tensor()
    sides = " x ".join(str(side) for side in tensor.shape[1:])
    lines = [
        f"{found.name}: {found.task}, {_told(found)}",
        f"input: {sides} {tensor.dtype}",
        *found.facts,
        f"splits: {found.split_method}",
        f"sha256: {found.sha256}",
        "",
        table(("class" if found.counts_per_class else "", *SPLITS), _rows(found)),
    ]
    lines += [f"warning: {warning}" for warning in found.warnings]
    lines += [f"unreadable: {each.item} {each.reason}" for each in found.skipped[:MOST_SKIPPED]]
    if len(found.skipped) > MOST_SKIPPED:
        lines.append(f"unreadable: {len(found.skipped)} items in all (--json lists them)")
    return "\n".join(lines)


def _rows(found: Inspection) -> list[tuple[str, ...]]:
    def row(name: str, counts: list[int]) -> tuple[str, ...]:
        return (name, *(f"{count:,}" for count in counts))

    rows = [
        row(label, [found.counts_per_class[split][label] for split in SPLITS])
        for label in found.labels[:MOST_CLASSES]
        if found.counts_per_class
    ]
    if len(found.labels) > MOST_CLASSES:
        rows.append((f"({len(found.labels) - MOST_CLASSES} more classes)", "", "", ""))
    return [*rows, row("all", [found.counts[split] for split in SPLITS])]


def _told(found: Inspection) -> str:
    if not found.counts_per_class:
        return found.labels[0]
    noun = "labels" if found.task.endswith("multi-label") else "classes"
    return f"{len(found.labels)} {noun}"
