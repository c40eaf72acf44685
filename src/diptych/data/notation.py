"""Numbers as people write them: with thousands separators, or with a comma before decimals."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast, get_args

from diptych.core.extras import require
from diptych.core.specs import Notation, TableSpec
from diptych.data.cells import numbers_in, words_in
from diptych.tasks.table import BLANKS

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


COMMA = "[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?"
WAYS: dict[Notation, Way] = {
    "1,234.5": Way(r"^[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?$", ",", comma=False),
    "1.234,5": Way(
        rf"^[+-]?(?:[1-9][0-9]{{0,2}}(?:\.[0-9]{{3}})+(?:,[0-9]+)?|[0-9]+|{COMMA})$",
        ".",
        comma=True,
    ),
    "1234,5": Way(rf"^[+-]?{COMMA}$", "", comma=True),
}
NUMERAL = "|".join(way.pattern for way in WAYS.values())


def in_order(*, decimal_comma: bool) -> list[Notation]:
    """List the notations but that with a point alone; the first that fits a column counts.

    Args:
        decimal_comma: Whether a comma is before decimals where it could also group thousands.

    Returns:
        Names of ``WAYS``.
    """
    return ["1.234,5", "1234,5", "1,234.5"] if decimal_comma else list(WAYS)


def plain_tables(
    tables: Sequence[Table], known: Mapping[str, Notation | None], files: Sequence[str]
) -> tuple[list[Table], list[str]]:
    """Write the numbers of tables with points for decimals and nothing between thousands.

    Args:
        tables: The files of a split, of the same columns; one without the metadata of CSV keeps its
            cells.
        known: How the numbers of columns are written, where that was told by others; None where
            a column holds something else.
        files: Their names, for people.

    Returns:
        The tables, their fields with the notations in their metadata; and what was read otherwise.
    """
    arrow = require("pyarrow", "train")
    separators = [(table.schema.metadata or {}).get(SEPARATOR, b"") for table in tables]
    groups = {
        separator: arrow.concat_tables(
            [table for table, its in zip(tables, separators, strict=True) if its == separator]
        )
        for separator in dict.fromkeys(filter(None, separators))
    }
    if not groups:
        return list(tables), []
    found = {name: _ways(groups, name, known) for name in tables[0].column_names}
    held = {name: (next(iter(ways.values())) or "").encode() for name, ways in found.items()}
    written, told = [], dict[str, str]()
    for table, separator, file in zip(tables, separators, files, strict=True):
        columns, fields = [], []
        for field, column in zip(table.schema, table.columns, strict=True):
            plain = plain_numbers(column, found[field.name].get(separator) or POINT)
            columns.append(plain)
            fields.append(field.with_metadata({FIELD: held[field.name]}))
            if field.name not in told and (example := _first_changed(column, plain)):
                told[field.name] = f"column {field.name!r} of {file}: {example}"
        schema = arrow.schema(fields, metadata=table.schema.metadata)
        written.append(arrow.table(columns, schema=schema))
    return written, [told[name] for name in found if name in told]


def _ways(
    groups: Mapping[bytes, Table], name: str, known: Mapping[str, Notation | None]
) -> dict[bytes, Notation | None]:
    """Tell how the files of each separator write a column: all alike, else each in its own way."""
    expected = known.get(name, POINT)
    if expected is None:
        return dict.fromkeys(groups)
    columns = {separator: table.column(name) for separator, table in groups.items()}
    parts = [chunk for column in columns.values() for chunk in column.chunks]
    all_of_it = require("pyarrow", "train").chunked_array(parts, "string")
    alike = notation_of(all_of_it, decimal_comma=next(iter(groups)) == b";", known=expected)
    if alike is None and len(groups) > 1:
        each = {
            separator: notation_of(column, decimal_comma=separator == b";", known=expected)
            for separator, column in columns.items()
        }
        if None not in each.values():
            return each
    return dict.fromkeys(groups, alike)


def known_notations(spec: TableSpec) -> dict[str, Notation | None]:
    """Tell how CSV writes the numbers of a model's columns.

    Args:
        spec: The columns.

    Returns:
        The notation by the column's name, None of a column of words or dates.
    """
    return {column.name: None for column in spec.columns} | spec.notations()


def notations_in(table: Table) -> dict[str, Notation | None]:
    """Tell how the numbers of a table were written.

    Args:
        table: From `plain_tables`, or any other.

    Returns:
        The notation of each column where it is known; None of a column of words.
    """
    held = {field.name: (field.metadata or {}).get(FIELD) for field in table.schema}
    words = {name: word.decode() for name, word in held.items() if word is not None}
    known = get_args(Notation)
    return {
        name: cast("Notation", word) if word else None
        for name, word in words.items()
        if not word or word in known
    }


def notation_of(
    column: Any,  # noqa: ANN401  a pyarrow.ChunkedArray
    *,
    decimal_comma: bool,
    known: Notation = POINT,
) -> Notation | None:
    """Find out how a column's numbers are written.

    Args:
        column: (N,) strings.
        decimal_comma: Whether a comma is before decimals where it could also group thousands.
        known: How others of the same column are written: it counts where all cells can be so,
            but for those that are a number in no way.

    Returns:
        The first that fits, a point alone before others; None where nothing does: not every cell
        is a number.
    """
    arrow, compute = require("pyarrow", "train"), require("pyarrow.compute", "train")
    wrong = arrow.array(numbers_in(column).wrong)
    words = words_in(column)
    if known != POINT:
        numeral = compute.match_substring_regex(words, NUMERAL)
        those = words.filter(compute.or_(numeral, compute.invert(wrong)))
        if _fits(those, words.filter(compute.and_(numeral, wrong)), WAYS[known]):
            return known
    others = words.filter(wrong)
    if not len(others):
        return POINT
    ways = in_order(decimal_comma=decimal_comma)
    return next((way for way in ways if _fits(words, others, WAYS[way])), None)


def plain_numbers(column: Any, notation: Notation) -> Any:  # noqa: ANN401
    """Write a column's numbers with points for decimals and nothing between thousands.

    Args:
        column: (N,) strings.
        notation: How they are written.

    Returns:
        (N,) strings; those that are no numbers of this notation as they were.
    """
    if notation == POINT:
        return column
    compute, way = require("pyarrow.compute", "train"), WAYS[notation]
    plain = compute.replace_substring(column, way.removed, "") if way.removed else column
    plain = compute.replace_substring(plain, ",", ".") if way.comma else plain
    written = compute.match_substring_regex(compute.utf8_trim(column, BLANKS), way.pattern)
    return compute.if_else(written, plain, column)


def _fits(words: Any, others: Any, way: Way) -> bool:  # noqa: ANN401
    """Say whether words that are no plain numbers, and those that hold the sign, are so written."""
    return _all_match(others, way.pattern) and (
        not way.removed or _all_match(_with(words, way.removed), way.pattern)
    )


def _all_match(words: Any, pattern: str) -> bool:  # noqa: ANN401
    compute = require("pyarrow.compute", "train")
    return bool(compute.all(compute.match_substring_regex(words, pattern), min_count=0).as_py())


def _with(words: Any, sign: str) -> Any:  # noqa: ANN401
    """Take the words that hold a sign, also those that are numbers as they stand."""
    return words.filter(require("pyarrow.compute", "train").match_substring(words, sign))


def _first_changed(column: Any, plain: Any) -> str:  # noqa: ANN401
    """Tell how the first cell is read that was written otherwise; nothing where none was."""
    if plain is column:
        return ""
    compute = require("pyarrow.compute", "train")
    row = compute.index(compute.not_equal(column, plain), True).as_py()
    return "" if row < 0 else f"{column[row].as_py().strip()!r} is read as {plain[row]}"
