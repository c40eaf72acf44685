"""What a column of a table holds, learned from the training split: numbers, words, dates, nothing.

Shapes: N rows.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych.core.extras import require
from diptych.core.specs import CategoryColumn, Column, DateColumn, Notation, NumberColumn
from diptych.data.cells import (
    Numbers,
    converted,
    is_numeric,
    is_text,
    joined,
    numbers_in,
    words_in,
)
from diptych.data.notation import POINT
from diptych.tasks.dates import FORMS, ISO, example_of
from diptych.tasks.table import NUMBER, converter, word_of

NUMBERS_SHARE = 0.9
DATES_SHARE = 0.5
LOOKED_AT = 2_000
MOST_VALUES = 4_096
LEAST_SEEN = 2
IDENTIFIER_SHARE = 0.9
IDENTIFIER_ROWS = 50
BLANKS_IN_TEXT = 2
TEXT = "text is not used beside other columns; to learn from it, keep only it and the label"
INDEX = re.compile(r"column 1|Unnamed: 0|__index_level_0__")
"""Names of an index that pandas wrote beside the columns, in CSV, again in CSV, in Parquet."""
AMOUNT = re.compile(rf"[$€£¥] ?{NUMBER}|{NUMBER} ?[%$€£¥]")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A column as it will be used, or None if it is not; and what people should know of it."""

    column: Column | None
    warning: str = ""


def find_kind(name: str, cells: Any, notation: Notation = POINT) -> Found:  # noqa: ANN401
    """Find out what a column holds.

    Args:
        name: Its name.
        cells: (N,) those of the training split, a ``pyarrow.ChunkedArray``; numbers have points.
        notation: How their file wrote numbers.

    Returns:
        The column: numbers where nine cells in ten are, dates of the form that most of them have,
        else words, the most frequent first. None, with a warning, where all cells are the same,
        each word is another, rows are counted, or the type is of no use.
    """
    types = require("pyarrow", "train").types
    if types.is_date(cells.type) or types.is_timestamp(cells.type):
        return _varied(DateColumn(name=name, format=ISO), cells)
    if not (is_numeric(cells) or _holds_words(cells.type)):
        return Found(column=None, warning=f"{cells.type} cells tell nothing; it is not used")
    if is_numeric(cells) or is_text(cells):
        numbers = numbers_in(cells)
        present = int((~numbers.missing).sum())
        if present and (~numbers.wrong & ~numbers.missing).sum() >= NUMBERS_SHARE * present:
            return _numbers(NumberColumn(name=name, notation=notation), numbers)
        if is_text(cells) and (found := _dates(name, cells)):
            return found
    return _words(name, cells)


def _holds_words(kind: Any) -> bool:  # noqa: ANN401  a pyarrow.DataType
    types = require("pyarrow", "train").types
    strings = (types.is_string, types.is_large_string, types.is_string_view)
    return any(fits(kind) for fits in (*strings, types.is_boolean))


def _numbers(column: NumberColumn, numbers: Numbers) -> Found:
    values = numbers.values
    present = values[~np.isnan(values)]
    if not len(present):
        return Found(column=None, warning="no cell holds anything; it is not used")
    if present.min() == present.max() and len(present) == len(values):
        return Found(column=None, warning=f"all cells are {present[0]:g}; it is not used")
    steps = np.diff(values)
    if len(values) >= IDENTIFIER_ROWS and abs(steps[0]) == 1 and (steps == steps[0]).all():
        return Found(column=None, warning="it counts the rows; it is not used")
    if INDEX.fullmatch(column.name) and len(values) >= IDENTIFIER_ROWS and _all_differ(values):
        return Found(column=None, warning="it is an index of the rows; it is not used")
    infinite = int(numbers.infinite.sum())
    warning = f"{infinite:,} infinite cells are taken as missing" if infinite else ""
    return Found(column=column, warning=warning)


def _all_differ(values: np.ndarray) -> bool:
    """Say whether all cells are whole numbers, each another one."""
    return bool((values == np.floor(values)).all()) and len(np.unique(values)) == len(values)


def _dates(name: str, cells: Any) -> Found | None:  # noqa: ANN401
    """Find the form of dates that most cells have, if half of them have one."""
    words = words_in(cells).drop_null()
    spread = np.linspace(0, len(words) - 1, min(len(words), LOOKED_AT)).astype(np.int64)
    sample = words.take(require("pyarrow", "train").array(spread))
    numbered = sum(any(map(str.isdecimal, word)) for word in sample.to_pylist())
    if not numbered or numbered < DATES_SHARE * len(sample):
        return None
    fitting = {form: _share(form, sample) for form in FORMS}
    best = max(FORMS, key=lambda form: fitting[form])
    if fitting[best] < DATES_SHARE:
        return None
    same = [form for form in FORMS if fitting[form] == fitting[best] and form != best]
    same = same if fitting[best] > DATES_SHARE else []  # or each may fit cells of its own
    warning = ""
    if same:
        shown = sample[0].as_py()
        warning = (
            f"{shown!r} is read in the form {example_of(best)!r}, though {example_of(same[0])!r} "
            "would fit too"
        )
    return _varied(DateColumn(name=name, format=best), cells, warning)


def _share(form: str, sample: Any) -> float:  # noqa: ANN401
    _, wrong = converted(sample, converter(DateColumn(name="date", format=form)))
    return 1 - len(wrong) / len(sample)


def _varied(column: DateColumn, cells: Any, warning: str = "") -> Found:  # noqa: ANN401
    values, _ = converted(cells, converter(column))
    if len(np.unique(values)) < 2:
        return Found(column=None, warning="all cells are the same; it is not used")
    return Found(column=column, warning=warning)


def _words(name: str, cells: Any) -> Found:  # noqa: ANN401
    """Count words; the most frequent come first, in alphabetical order where they are equal."""
    encoded = joined(cells).dictionary_encode()
    counted: dict[str, int] = {}
    tally = np.bincount(
        encoded.indices.drop_null().to_numpy(), minlength=len(encoded.dictionary)
    ).tolist()
    for cell, count in zip(encoded.dictionary.to_pylist(), tally, strict=True):
        if (word := word_of(cell)) is not None:
            counted[word] = counted.get(word, 0) + count
    present = sum(counted.values())
    if not counted:
        return Found(column=None, warning="no cell holds anything; it is not used")
    text = sum(word.count(" ") for word in counted) >= BLANKS_IN_TEXT * len(counted)
    if len(counted) == 1 and present == len(cells):
        return Found(column=None, warning=f"all cells are {next(iter(counted))!r}; it is not used")
    if present >= IDENTIFIER_ROWS and len(counted) >= IDENTIFIER_SHARE * present:
        seen = f"{len(counted):,} different words in {present:,} cells tell nothing"
        return Found(column=None, warning=TEXT if text else f"{seen}; it is not used")
    ordered = sorted(counted, key=lambda word: (-counted[word], word))
    kept = [word for word in ordered if counted[word] >= LEAST_SEEN][:MOST_VALUES] or ordered[:1]
    unknown = sum(counted[word] for word in ordered[len(kept) :])
    warning = ""
    if len(kept) == MOST_VALUES:
        warning = (
            f"{MOST_VALUES:,} of {len(ordered):,} words are kept; the others, {unknown:,} cells, "
            "are taken as unseen"
        )
    if amount := next((word for word in kept if AMOUNT.fullmatch(word)), None):
        warning = f"{amount!r} is taken as a word; write plain numbers to have an order"
    return Found(column=CategoryColumn(name=name, values=tuple(kept)), warning=warning)
