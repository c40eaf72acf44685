"""Numbers as people write them: with thousands separators, or with a comma before decimals."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast, get_args

from diptych.core.extras import require
from diptych.core.specs import Notation
from diptych.data.cells import numbers_in, words_in

POINT: Notation = "1234.5"
FIELD, SEPARATOR = b"diptych notation", b"diptych separator"
"""Metadata: of a column how its numbers were written, of a table what was between its cells."""

Table = Any
"""A ``pyarrow.Table``, which has no types."""


class Way(NamedTuple):
    """The pattern of a notation, what is taken out, and whether a comma becomes a point."""

    pattern: str
    removed: str
    comma: bool

    def plain(self, word: str) -> str:
        """Write a number with a point for decimals and nothing between thousands.

        Args:
            word: A number in this notation, without blanks around it.

        Returns:
            The same number.
        """
        word = word.replace(self.removed, "") if self.removed else word
        return word.replace(",", ".") if self.comma else word


WAYS: dict[Notation, Way] = {
    "1,234.5": Way(r"^[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?$", ",", comma=False),
    "1.234,5": Way(
        r"^[+-]?(?:[1-9][0-9]{0,2}(?:\.[0-9]{3})+|[0-9]+)(?:,[0-9]+)?$", ".", comma=True
    ),
    "1234,5": Way(r"^[+-]?[0-9]+,[0-9]+$", "", comma=True),
}


def in_order(*, decimal_comma: bool) -> list[Notation]:
    """List the notations but that with a point alone; the first that fits a column counts.

    Args:
        decimal_comma: Whether a comma is before decimals where it could also group thousands.

    Returns:
        Names of ``WAYS``.
    """
    return ["1.234,5", "1234,5", "1,234.5"] if decimal_comma else list(WAYS)


def plain_table(table: Table, known: Mapping[str, Notation], file: str) -> tuple[Table, list[str]]:
    """Write the numbers of a table with points for decimals and nothing between thousands.

    Args:
        table: As read of one or more files; without the metadata of CSV it is left as it is.
        known: How the numbers of its columns are written, where that was told by others.
        file: Its name, for people.

    Returns:
        The table, its fields with the notations in their metadata; and what was read otherwise.
    """
    separator = (table.schema.metadata or {}).get(SEPARATOR)
    if separator is None:
        return table, []
    arrow = require("pyarrow", "train")
    columns, fields, told = [], [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        expected = known.get(field.name, POINT)
        notation = notation_of(column, decimal_comma=separator == b";", known=expected)
        plain = plain_numbers(column, notation)
        columns.append(plain)
        fields.append(field.with_metadata({FIELD: notation.encode()}))
        if example := _first_changed(column, plain):
            told.append(f"column {field.name!r} of {file}: {example}")
    schema = arrow.schema(fields, metadata=table.schema.metadata)
    return arrow.table(columns, schema=schema), told


def notations_in(table: Table) -> dict[str, Notation]:
    """Tell how the numbers of a table were written.

    Args:
        table: From `plain_table`, or any other.

    Returns:
        The notation of each column where it is known.
    """
    words = {field.name: (field.metadata or {}).get(FIELD, b"").decode() for field in table.schema}
    known = get_args(Notation)
    return {name: cast("Notation", word) for name, word in words.items() if word in known}


def notation_of(
    column: Any,  # noqa: ANN401  a pyarrow.ChunkedArray
    *,
    decimal_comma: bool,
    known: Notation = POINT,
) -> Notation:
    """Find out how a column's numbers are written.

    Args:
        column: (N,) strings.
        decimal_comma: Whether a comma is before decimals where it could also group thousands.
        known: How others of the same column are written: it counts where all cells can be so.

    Returns:
        A point alone where that fits, or where nothing does: not every cell is a number.
    """
    wrong = numbers_in(column).wrong
    words = words_in(column).filter(require("pyarrow", "train").array(wrong))
    if known != POINT and _fits(column, words, WAYS[known]):
        return known
    ways = in_order(decimal_comma=decimal_comma) if wrong.any() else []
    return next((way for way in ways if _fits(column, words, WAYS[way])), POINT)


def plain_numbers(column: Any, notation: Notation) -> Any:  # noqa: ANN401
    """Write a column's numbers with points for decimals and nothing between thousands.

    Args:
        column: (N,) strings.
        notation: How they are written.

    Returns:
        (N,) strings.
    """
    if notation == POINT:
        return column
    compute, way = require("pyarrow.compute", "train"), WAYS[notation]
    plain = compute.replace_substring(column, way.removed, "") if way.removed else column
    return compute.replace_substring(plain, ",", ".") if way.comma else plain


def _fits(column: Any, words: Any, way: Way) -> bool:  # noqa: ANN401
    """Say whether words that are no plain numbers, and those that hold the sign, are so written."""
    return _all_match(words, way.pattern) and (
        not way.removed or _all_match(_with(column, way.removed), way.pattern)
    )


def _all_match(words: Any, pattern: str) -> bool:  # noqa: ANN401
    compute = require("pyarrow.compute", "train")
    return bool(compute.all(compute.match_substring_regex(words, pattern), min_count=0).as_py())


def _with(column: Any, sign: str) -> Any:  # noqa: ANN401
    """Take the cells that hold a sign, also those that are numbers as they stand."""
    words = words_in(column)
    return words.filter(require("pyarrow.compute", "train").match_substring(words, sign))


def _first_changed(column: Any, plain: Any) -> str:  # noqa: ANN401
    """Tell how the first cell is read that was written otherwise; nothing where none was."""
    compute = require("pyarrow.compute", "train")
    row = compute.index(compute.not_equal(column, plain), True).as_py()
    return "" if row < 0 else f"{column[row].as_py().strip()!r} is read as {plain[row]}"
