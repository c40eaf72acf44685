"""Cells of a column of a table, all at once; they mean what `tasks.table` says, one at a time.

Shapes: N rows, U distinct values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych.core.errors import DataError
from diptych.core.extras import require
from diptych.tasks.table import BLANKS, INFINITE, LARGEST, MISSING, NUMBER, number_of

Column = Any
"""A ``pyarrow.ChunkedArray``, which has no types."""


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The cells of a column as numbers, each (N,): float64 `values`, NaN where there is none.

    `missing` says where a cell is blank, `infinite` where it is too large, `wrong` where it holds
    something that is not a number.
    """

    values: np.ndarray
    missing: np.ndarray
    infinite: np.ndarray
    wrong: np.ndarray


def is_text(column: Column) -> bool:
    """Say whether a column holds strings.

    Args:
        column: The column.

    Returns:
        True if it does.
    """
    types = require("pyarrow", "train").types
    return bool(types.is_string(column.type) or types.is_large_string(column.type))


def is_numeric(column: Column) -> bool:
    """Say whether a column is of a type of numbers.

    Args:
        column: The column.

    Returns:
        True for integers, floats and decimals.
    """
    types = require("pyarrow", "train").types
    kind = column.type
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def words_in(column: Column) -> Column:
    """Take the blanks around strings away.

    Args:
        column: (N,) strings.

    Returns:
        (N,) strings, null where a cell is missing.
    """
    arrow, compute = require("pyarrow", "train"), require("pyarrow.compute", "train")
    words = compute.utf8_trim(column, BLANKS)
    missing = compute.is_in(words, arrow.array(sorted(MISSING), words.type))
    return compute.if_else(missing, arrow.scalar(None, words.type), words)


def numbers_in(column: Column) -> Numbers:
    """Read the numbers of a column.

    Args:
        column: (N,) strings or numbers.

    Returns:
        Its cells as numbers.
    """
    compute = require("pyarrow.compute", "train")
    if is_text(column):
        return _numbers_in_words(words_in(column))
    values = _as_floats(compute.cast(column, "float64", safe=False))
    missing = _as_flags(compute.is_null(column)) | np.isnan(values)
    infinite = ~missing & ~(np.abs(values) <= LARGEST)
    wrong = np.zeros(len(values), bool)
    values = np.where(infinite, np.nan, values)
    return Numbers(values=values, missing=missing, infinite=infinite, wrong=wrong)


def joined(column: Column) -> Any:  # noqa: ANN401  a pyarrow.Array
    """Put the parts of a column together.

    Args:
        column: (N,) of any type.

    Returns:
        (N,) as one array; strings as large ones, for an array of others holds 2 GiB of text.
    """
    arrow = require("pyarrow", "train")
    if arrow.types.is_string(column.type):
        column = column.cast(arrow.large_string())
    return column.combine_chunks()


def python_cells(column: Column) -> list[object]:
    """Take the cells of a column.

    Args:
        column: (N,) of any type; may be a ``pyarrow.Array``.

    Returns:
        N cells; one that Python cannot hold, such as a date after the year 9999, as its words.
    """
    try:
        cells: list[object] = column.to_pylist()
    except (OverflowError, ValueError):
        return [_python_cell(cell) for cell in column]
    return cells


def _python_cell(cell: Any) -> object:  # noqa: ANN401  a pyarrow.Scalar
    try:
        return cell.as_py()
    except (OverflowError, ValueError):
        return cell.cast("string").as_py()


def converted(
    column: Column, convert: Callable[[object], float]
) -> tuple[np.ndarray, dict[int, str]]:
    """Convert a column by converting each of its distinct values once.

    Args:
        column: (N,) of any simple type.
        convert: From a cell to a number; may raise DataError.

    Returns:
        float64 (N,), NaN where a cell cannot be converted; and the reason, by row, where not.
    """
    arrow, compute = require("pyarrow", "train"), require("pyarrow.compute", "train")
    if arrow.types.is_timestamp(column.type):
        column = compute.cast(column, arrow.timestamp("us", tz=column.type.tz), safe=False)
    encoded = joined(column).dictionary_encode()
    cells = [*python_cells(encoded.dictionary), None]
    values, reasons = np.empty(len(cells)), {}
    for place, cell in enumerate(cells):
        try:
            values[place] = convert(cell)
        except DataError as error:
            values[place], reasons[place] = np.nan, error.message
    places = compute.fill_null(encoded.indices, len(cells) - 1).to_numpy(zero_copy_only=False)
    bad = np.flatnonzero(np.isin(places, list(reasons))).tolist() if reasons else []
    return values[places], {row: reasons[int(places[row])] for row in bad}


def _numbers_in_words(words: Column) -> Numbers:
    arrow, compute = require("pyarrow", "train"), require("pyarrow.compute", "train")
    missing = _as_flags(compute.is_null(words))
    infinite = _matches(words, INFINITE)
    fits = _matches(words, NUMBER)
    digits = compute.if_else(
        arrow.array(fits), compute.utf8_ltrim(words, "+"), arrow.scalar(None, words.type)
    )
    try:
        values = _as_floats(compute.cast(digits, "float64"))
    except arrow.ArrowInvalid:  # a number that float64 does not hold
        values, _ = converted(digits, number_of)
    too_large = fits & ~(np.abs(values) <= LARGEST)
    wrong = ~missing & ~infinite & ~fits
    values = np.where(too_large, np.nan, values)
    return Numbers(values=values, missing=missing, infinite=infinite | too_large, wrong=wrong)


def _matches(words: Column, pattern: str) -> np.ndarray:
    compute = require("pyarrow.compute", "train")
    found = compute.match_substring_regex(words, f"^(?:{pattern})$")
    return _as_flags(compute.fill_null(found, False))


def _as_floats(column: Column) -> np.ndarray:
    values: np.ndarray = column.to_numpy().astype(np.float64)
    return values


def _as_flags(column: Column) -> np.ndarray:
    flags: np.ndarray = column.to_numpy().astype(bool)
    return flags
