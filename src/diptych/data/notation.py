"""Numbers as people write them: with thousands separators, or with a comma before decimals."""

from typing import Any

from diptych.core.extras import require
from diptych.data.cells import numbers_in, words_in

GROUPED = r"^[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?$"
GROUPED_BY_POINTS = r"^[+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)(?:,[0-9]+)?$"
WITH_COMMA = r"^[+-]?[0-9]+,[0-9]+$"


def plain_numbers(column: Any, *, decimal_comma: bool) -> tuple[Any, str]:  # noqa: ANN401
    """Write a column's numbers with points for decimals and nothing between thousands.

    Args:
        column: (N,) strings.
        decimal_comma: Whether a comma is before decimals where it could also group thousands.

    Returns:
        The column, changed if every cell is a number and some are written otherwise; and then a
        line that says how they were read, else an empty one.
    """
    compute = require("pyarrow.compute", "train")
    numbers = numbers_in(column)
    if not numbers.wrong.any():
        return column, ""
    arrow = require("pyarrow", "train")
    words = words_in(column).filter(arrow.array(numbers.wrong))
    for pattern, removed, comma in notations(decimal_comma):
        if _fits(words, pattern) and (not removed or _fits(_with(column, removed), pattern)):
            plain = compute.replace_substring(column, removed, "") if removed else column
            plain = compute.replace_substring(plain, ",", ".") if comma else plain
            shown = words[0].as_py()
            read = shown.replace(removed, "") if removed else shown
            return plain, f"{shown!r} is read as {read.replace(',', '.')}"
    return column, ""


def notations(decimal_comma: bool) -> list[tuple[str, str, bool]]:
    """List how numbers may be written, where not with a point alone; the first that fits counts.

    Args:
        decimal_comma: Whether a comma is before decimals where it could also group thousands.

    Returns:
        The pattern of each, what is taken out, and whether a comma becomes a point.
    """
    grouped = (GROUPED, ",", False)
    commas = [(GROUPED_BY_POINTS, ".", True), (WITH_COMMA, "", True)]
    return [*commas, grouped] if decimal_comma else [grouped, *commas]


def _fits(words: Any, pattern: str) -> bool:  # noqa: ANN401
    compute = require("pyarrow.compute", "train")
    return bool(compute.all(compute.match_substring_regex(words, pattern), min_count=0).as_py())


def _with(column: Any, sign: str) -> Any:  # noqa: ANN401
    """Take the cells that hold a sign, also those that are numbers as they stand."""
    words = words_in(column)
    return words.filter(require("pyarrow.compute", "train").match_substring(words, sign))
