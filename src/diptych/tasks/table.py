"""Rows: from named cells, or cells in column order, to the numbers that a graph takes.

What a cell means is said here, one cell at a time; whole tables give the same values.
Shapes: C columns.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import msgspec
import numpy as np

from diptych.core.errors import DataError
from diptych.core.specs import CategoryColumn, Column, DateColumn, NumberColumn, TableSpec
from diptych.core.text import nearest
from diptych.core.values import Assets
from diptych.tasks.dates import date_parser, days_since_2000, example_of

BLANKS = " \t\r\n"
MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "#N/A", "?")
)
NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
INFINITE = r"[+-]?(?:inf|Inf|INF|infinity|Infinity|INFINITY)"
LARGEST = float(np.finfo(np.float32).max)
MOST_TEXT = 16 << 20
MOST_SHOWN = 40
FEW_COLUMNS = 30
MOST_COMPARED = 500
"""Among more columns no nearest name is looked for: it would take seconds."""
EXPECTED = "give a row as a mapping or JSON object of column names to cells"

Converter = Callable[[object], float]
_NUMBER, _INFINITE = re.compile(NUMBER), re.compile(INFINITE)


def preparer(spec: TableSpec, assets: Assets) -> Callable[[object], np.ndarray]:
    """Make what turns a row into the values that a graph takes.

    Args:
        spec: The columns.
        assets: Not used.

    Returns:
        A function from a mapping of names to cells (also as JSON), or cells in column order, to
        float32 (C,). A column that is absent, None, blank, ``NA``, NaN or infinite is missing;
        numbers may be strings; a float32 array (C,) is a prepared row already. It raises DataError
        for a row without a cell, for a cell that is not what its column holds, and for a column
        that is not the model's unless it is one of those that the spec ignores.
    """
    pairs = tuple((column.name, converter(column)) for column in spec.columns)
    known = frozenset([column.name for column in spec.columns]).union(spec.ignored)

    def prepare(item: object) -> np.ndarray:
        if type(item) is not dict:
            if isinstance(item, np.ndarray) and item.dtype == np.float32:
                return _checked(item, spec)
            item = _named(item, spec)
        if not item or not known.issuperset(item):
            _fail_unusable(item, spec)
        cell = item.get
        return np.array([convert(cell(name)) for name, convert in pairs], np.float32)

    return prepare


def converter(column: Column) -> Converter:
    """Make what turns a cell of one column into a number.

    Args:
        column: The column.

    Returns:
        A function from a cell to the number that stands for it, NaN where a number or a date is
        missing, 0 where a word is missing or unseen; it raises DataError, naming the column, for
        a cell of another sort.
    """
    match column:
        case NumberColumn():
            return _number_converter(column.name)
        case CategoryColumn():
            return _category_converter(column)
        case DateColumn():
            return _date_converter(column)


def word_of(cell: object) -> str | None:
    """Tell the word that a cell of a category stands for.

    Args:
        cell: A string, a number, a truth value or None.

    Returns:
        The word without blanks around it, None where it is missing; whole numbers are written
        without a point, truth values ``true`` and ``false``.

    Raises:
        TypeError: If it is something else.
    """
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, str):
        word = cell.strip(BLANKS)
        if word in MISSING:
            return None
        return word.lower() if word in {"True", "TRUE", "False", "FALSE"} else word
    if cell is None:
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int):
        return str(cell) if abs(cell) < 1 << 64 else "a huge number"
    if isinstance(cell, float):
        whole = cell.is_integer() and abs(cell) < 1 << 53
        return (str(int(cell)) if whole else repr(cell)) if math.isfinite(cell) else None
    raise TypeError(f"{type(cell).__name__} is not a word")


def number_of(cell: object) -> float:
    """Tell the number that a cell stands for.

    Args:
        cell: A number, a truth value, a string that holds a number, or None.

    Returns:
        The number; NaN where it is missing, infinite or too large for float32.

    Raises:
        ValueError: If it is a string that holds no number.
        TypeError: If it is something else.
    """
    if isinstance(cell, np.generic):
        cell = cell.item()
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        word = cell.strip(BLANKS)
        if word in MISSING or _INFINITE.fullmatch(word):
            return math.nan
        if not _NUMBER.fullmatch(word):
            raise ValueError(f"{_shown(word)} is not a number")
        cell = float(word)
    if not isinstance(cell, int | float):
        raise TypeError(f"{type(cell).__name__} is not a number")
    return float(cell) if -LARGEST <= cell <= LARGEST else math.nan


def _number_converter(name: str) -> Converter:
    def convert(cell: object) -> float:
        if cell.__class__ is float or cell.__class__ is int:
            return cell if -LARGEST <= cell <= LARGEST else math.nan
        try:
            return number_of(cell)
        except (ValueError, TypeError) as error:
            raise DataError(f"column {name!r}: {error}", "give a number such as 3.5") from error

    return convert


def _category_converter(column: CategoryColumn) -> Converter:
    numbers = {value: float(place) for place, value in enumerate(column.values, start=1)}
    quick = numbers.get

    def convert(cell: object) -> float:
        if cell.__class__ is str:
            number = quick(cell)
            if number is not None:
                return number
        try:
            word = word_of(cell)
        except (ValueError, TypeError) as error:
            raise DataError(f"column {column.name!r}: {error}", "give a word") from error
        return 0.0 if word is None else quick(word, 0.0)

    return convert


def _date_converter(column: DateColumn) -> Converter:
    parse, example = date_parser(column.format), example_of(column.format)

    def convert(cell: object) -> float:
        if isinstance(cell, np.generic):
            cell = cell.item()
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return math.nan
        try:
            if isinstance(cell, str):
                word = cell.strip(BLANKS)
                return math.nan if word in MISSING else parse(word)
            if isinstance(cell, date):
                return days_since_2000(cell)
        except (ValueError, OverflowError):
            pass
        raise DataError(
            f"column {column.name!r}: {_shown(cell)} is not a date such as {example}",
            "write all dates in one form",
        )

    return convert


def _named(item: object, spec: TableSpec) -> Mapping[str, object]:
    """Return a row that is not a plain dictionary as a mapping."""
    if isinstance(item, str | bytes):
        item = _parsed(item)
    if isinstance(item, Mapping):
        return item
    if isinstance(item, np.ndarray):
        item = item.tolist()
    if not isinstance(item, Sequence):
        raise DataError(f"cannot make a row of {type(item).__name__}", EXPECTED)
    if len(item) != len(spec.columns):
        raise DataError(
            f"the row has {len(item)} cells, the model {len(spec.columns)} columns", EXPECTED
        )
    return {column.name: cell for column, cell in zip(spec.columns, item, strict=True)}


def _parsed(text: str | bytes) -> object:
    if len(text) > MOST_TEXT:
        raise DataError(f"a row of {len(text):,} characters is too long", EXPECTED)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DataError(f"{_shown(text)} is not a row in JSON: {error}", EXPECTED) from error


def _checked(row: np.ndarray, spec: TableSpec) -> np.ndarray:
    if row.shape != (len(spec.columns),):
        raise DataError(
            f"an array of shape {row.shape} is not a row of {len(spec.columns)} columns", EXPECTED
        )
    check_rows(row[None], spec)
    return row


def check_rows(rows: np.ndarray, spec: TableSpec) -> None:
    """Check prepared rows: are they ones that preparation could have made?

    Args:
        rows: float32 (N, C).
        spec: The columns.

    Raises:
        DataError: If a number is infinite, or a category does not exist: it would be looked up
            outside a network's tables.
    """
    for values, column in zip(rows.T, spec.columns, strict=True):
        if isinstance(column, CategoryColumn):
            most = len(column.values)
            wrong = values[~((values >= 0) & (values <= most) & (values == np.floor(values)))]
            if len(wrong):
                raise DataError(
                    f"column {column.name!r}: there is no category {wrong[0]:g}",
                    f"use a whole number, 1 to {most}, or 0 for a missing one",
                )
        elif np.isinf(values).any():
            raise DataError(f"column {column.name!r} is infinite", "use NaN for a missing number")


def _fail_unusable(row: Mapping[str, object], spec: TableSpec) -> None:
    names = [column.name for column in spec.columns]
    if not row:
        raise DataError("the row is empty", EXPECTED)
    known = {*names, *spec.ignored}
    unknown = next(str(name) for name in row if name not in known)
    hint = nearest(unknown, names) if len(names) <= MOST_COMPARED else ""
    few = len(names) <= FEW_COLUMNS or hint.startswith("did")
    raise DataError(
        f"the model has no column {_shown(unknown)}",
        hint if few else f"its columns are {', '.join(names[:FEW_COLUMNS])} and more",
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
