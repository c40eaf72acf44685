"""Rows of a table: what its columns hold, and all rows as numbers.

Shapes: N rows, M of them usable, C columns.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from diptych.core import arrays
from diptych.core.errors import DataError
from diptych.core.progress import Reporter, Step
from diptych.core.specs import CategoryColumn, InputSpec, NumberColumn, TableSpec
from diptych.core.text import nearest
from diptych.core.values import Assets, Skipped
from diptych.data.cells import converted, is_numeric, is_text, numbers_in
from diptych.data.column_kinds import find_kind
from diptych.data.leaks import find_leaks
from diptych.data.limits import check_columns
from diptych.data.notation import POINT, notations_in
from diptych.data.raw import RawSplit
from diptych.data.reading import Decoded, Learned, Options
from diptych.tasks.dates import DAY, EPOCH
from diptych.tasks.table import converter

MOST_FACTS, MOST_WARNINGS = 40, 20
MOST_WHOLE = 1e12
LABEL = b"label"


def learn(splits: Mapping[str, RawSplit], options: Options, report: Reporter) -> Learned:
    """Learn what the columns hold, from the training split.

    Args:
        splits: The splits as read; contents are ``pyarrow.Table`` without the label's column, whose
            name may be in their metadata as ``label``: rows may have it, but it is not used.
        options: Not used.
        report: Told how far it is.

    Returns:
        The columns that are used, and what people should know of them.

    Raises:
        DataError: If no column can be used, or more than a bundle can hold.
    """
    train = splits["train"]
    table = cast("Any", train.contents)
    notations = notations_in(table)
    columns, found_out, unused = [], [], []
    for place, name in enumerate(table.column_names, start=1):
        found = find_kind(name, table.column(name), notations.get(name) or POINT)
        if found.warning:
            found_out.append(f"column {name!r}: {found.warning}")
        if found.column is None:
            unused.append(name)
        else:
            columns.append(found.column)
        report(Step(stage="look at train", done=place, total=table.num_columns))
    if not columns:
        raise DataError("no column can be used", "; ".join(found_out[:3]))
    warnings = found_out[:MOST_WARNINGS]
    if more := len(found_out) - len(warnings):
        warnings.append(f"{more:,} more columns are odd, {len(unused):,} in all are not used")
    label = (table.schema.metadata or {}).get(LABEL)
    ignored = unused if label is None else [*unused, label.decode()]
    spec = TableSpec(columns=tuple(columns), ignored=tuple(ignored))
    check_columns(spec)
    inputs, rows, _ = decode("train", train, spec, {}, report)
    warnings += find_leaks(spec, inputs, [train.labels[row] for row in rows.tolist()])
    return Learned(spec=spec, facts=_facts(spec, inputs), warnings=tuple(warnings))


def decode(
    name: str, split: RawSplit, spec: InputSpec, assets: Assets, report: Reporter
) -> Decoded:
    """Turn a split's rows into numbers; each is as :func:`diptych.tasks.table.preparer` makes it.

    Args:
        name: The split's name.
        split: The split as read.
        spec: A `TableSpec`.
        assets: Not used.
        report: Told how far it is.

    Returns:
        float32 (M, C) of the rows whose cells can all be read; their numbers (M,); and the rows
        that cannot be used, with the reason.

    Raises:
        DataError: If the table has a column that the spec has not.
    """
    columns = cast("TableSpec", spec).columns
    table = cast("Any", split.contents)
    _check_names(name, table.column_names, cast("TableSpec", spec))
    present = set(table.column_names)
    inputs = arrays.empty((table.num_rows, len(columns)), "float32")
    reasons: dict[int, str] = {}
    for place, column in enumerate(columns):
        convert = converter(column)
        if column.name not in present:
            inputs[:, place] = convert(None)
            continue
        cells = table.column(column.name)
        if isinstance(column, NumberColumn) and (is_numeric(cells) or is_text(cells)):
            numbers = numbers_in(cells)
            inputs[:, place] = numbers.values
            bad = {
                row: _reason(convert, cells[row].as_py())
                for row in np.flatnonzero(numbers.wrong).tolist()
            }
        else:
            inputs[:, place], bad = converted(cells, convert)
        reasons = bad | reasons
        report(Step(stage=f"decode {name}", done=place + 1, total=len(columns)))
    skipped = [Skipped(item=split.items[row], reason=reasons[row]) for row in sorted(reasons)]
    rows = np.setdiff1d(np.arange(table.num_rows), np.fromiter(reasons, np.int64))
    return (arrays.take(inputs, rows) if skipped else inputs), rows, skipped


def _reason(convert: Any, cell: object) -> str:  # noqa: ANN401
    try:
        convert(cell)
    except DataError as error:
        return error.message
    return ""


def _check_names(split: str, names: list[str], spec: TableSpec) -> None:
    known = [column.name for column in spec.columns]
    expected = {*known, *spec.ignored}
    unknown = [name for name in names if name not in expected]
    if unknown:
        raise DataError(
            f"the model has no column {unknown[0]!r}, which the {split} split has",
            nearest(unknown[0], known),
        )


def _facts(spec: TableSpec, inputs: np.ndarray) -> tuple[str, ...]:
    facts = []
    for place, column in enumerate(spec.columns[:MOST_FACTS]):
        values = inputs[:, place]
        missing = np.isnan(values)
        if isinstance(column, CategoryColumn):
            missing = values == 0
            words = ", ".join(column.values[:3])
            what = f"{len(column.values):,} words, the most frequent {words}"
        else:
            noun = "numbers" if isinstance(column, NumberColumn) else f"dates ({column.format})"
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            write = _plain if isinstance(column, NumberColumn) else _day
            what = f"{noun} from {write(low)} to {write(high)}"
        blank = f"; {100 * missing.mean():.1f} % missing or rare" if missing.any() else ""
        facts.append(f"{column.name}: {what}{blank}")
    more = len(spec.columns) - len(facts)
    return (*facts, f"and {more} more columns") if more else tuple(facts)


def _plain(value: float) -> str:
    whole = value.is_integer() and abs(value) < MOST_WHOLE
    return f"{value:,.0f}" if whole else f"{value:,.6g}"


def _day(days: float) -> str:
    return (EPOCH + math.floor(days) * DAY).date().isoformat()
