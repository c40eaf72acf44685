"""diptych inspect: what the data holds and what is wrong with it."""

from diptych.cli.options import (
    DataArgument,
    ImageSizeOption,
    JsonOption,
    LabelOption,
    SeedOption,
)
from diptych.cli.output import print_json, progress, table
from diptych.data.inspection import Inspection, inspect
from diptych.data.raw import SPLITS
from diptych.data.reading import Options

MOST_CLASSES, MOST_SKIPPED = 30, 10


def command(
    data: DataArgument,
    label: LabelOption = None,
    image_size: ImageSizeOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what DATA holds and what is wrong with it; nothing is written."""
    options = Options(seed=seed or 0, target=label, image_size=image_size)
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
    spec = found.input
    lines = [
        f"{found.name}: {found.task}, {len(found.labels)} classes",
        f"input: {spec.height} x {spec.width} x {spec.channels} uint8, from {_sizes(found)}",
        f"splits: {found.split_method}",
        f"sha256: {found.sha256}",
        "",
        table(("class", *SPLITS), _rows(found)),
    ]
    lines += [f"warning: {warning}" for warning in found.warnings]
    lines += [f"unreadable: {each.item} {each.reason}" for each in found.skipped[:MOST_SKIPPED]]
    if len(found.skipped) > MOST_SKIPPED:
        lines.append(f"unreadable: {len(found.skipped)} pictures in all (--json lists them)")
    return "\n".join(lines)


def _rows(found: Inspection) -> list[tuple[str, ...]]:
    def row(name: str, counts: list[int]) -> tuple[str, ...]:
        return (name, *(f"{count:,}" for count in counts))

    rows = [
        row(label, [found.counts_per_class[split][label] for split in SPLITS])
        for label in found.labels[:MOST_CLASSES]
    ]
    if len(found.labels) > MOST_CLASSES:
        rows.append((f"({len(found.labels) - MOST_CLASSES} more classes)", "", "", ""))
    return [*rows, row("all", [found.counts[split] for split in SPLITS])]


def _sizes(found: Inspection) -> str:
    named = [f"{each.height} x {each.width} ({each.count:,})" for each in found.sizes[:3]]
    more = f" and {found.num_sizes - 3} more sizes" if found.num_sizes > 3 else ""
    return ", ".join(named) + more
