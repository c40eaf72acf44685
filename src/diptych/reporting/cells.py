"""Rows as people know them: columns with their names, words and dates in the place of numbers.

Shapes: C columns.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from diptych.core.specs import CategoryColumn, Column, DateColumn, TableSpec
from diptych.tasks.dates import EPOCH

MOST_COLUMNS = 16
MISSING = "missing"
UNSEEN = "missing or unseen"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A column's name and what a row has in it."""

    name: str
    value: str
    missing: bool


def cells(row: np.ndarray, spec: TableSpec) -> tuple[Cell, ...]:
    """Write a row.

    Args:
        row: float32 (C,).
        spec: The columns.

    Returns:
        The first 16 cells.
    """
    pairs = zip(spec.columns[:MOST_COLUMNS], row.tolist(), strict=False)
    written = [(column.name, value_of(column, number)) for column, number in pairs]
    return tuple(
        Cell(name=name, value=value or MISSING, missing=value in {"", UNSEEN})
        for name, value in written
    )


def value_of(column: Column, number: float) -> str:
    """Write what a number in a column stands for.

    Args:
        column: The column.
        number: What the graph takes.

    Returns:
        A word, a date or a number; empty where it is missing.
    """
    if not math.isfinite(number):
        return ""
    match column:
        case CategoryColumn():
            known = 1 <= number <= len(column.values)
            return column.values[int(number) - 1] if known else UNSEEN
        case DateColumn():
            return _date(number)
        case _:
            return str(np.float32(number)).removesuffix(".0")


def _date(days: float) -> str:
    try:
        moment = EPOCH + timedelta(days=days)
    except OverflowError:
        return f"{days:g} days after 2000-01-01"
    day = moment.date().isoformat()
    return day if days.is_integer() else f"{day} {moment.time().isoformat('minutes')}"
