"""Tables as a source: which column is the label, and whether the rest is text or a table."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from diptych.core.errors import DataError
from diptych.core.extras import require
from diptych.core.specs import InputSpec, Notation, TableSpec, TextSpec
from diptych.core.text import nearest
from diptych.data.cells import is_text, numbers_in, python_cells, words_in
from diptych.data.delimited import EXPECTED
from diptych.data.notation import POINT, known_notations, notations_in
from diptych.data.parquet import class_names
from diptych.data.raw import Kind, RawData, RawSplit
from diptych.data.table_files import SplitTable, read_splits
from diptych.tasks.table import BLANKS

TARGETS = ("label", "labels", "target", "class", "y")
TEXTS = ("text", "sentence", "question", "review")
LOOKED_AT = 10_000
DISTINCT_SHARE = 0.5
LONG_TEXT, MANY_WORDS = 15.0, 3.0
SHOWN_COLUMNS = 12
NO_LABEL = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
LEADING_ZERO = r"^[+-]?0[0-9]"


def read_tables(
    path: Path,
    target: str | None = None,
    spec: InputSpec | None = None,
    target_notation: Notation = POINT,
) -> RawData:
    """Read tables.

    Args:
        path: A file, or a folder of ``train.csv``, ``test.csv`` and the like.
        target: The label's column; by default ``label``, ``labels``, ``target``, ``class`` or
            ``y`` (in capitals, if need be), else the second of two.
        spec: What a model takes that the rows are for, if there is one.
        target_notation: How CSV writes the numbers of a `target`.

    Returns:
        Text, if the model takes it, or one column beside the label is free text and nothing else
        tells anything; else a table of all columns but the label's.

    Raises:
        DataError: If a file cannot be read, columns differ, or the column of the label, or of the
            texts that the model takes, is not known.
    """
    known = known_notations(spec) if isinstance(spec, TableSpec) else {}
    if target is not None and target_notation != POINT:
        known[target] = target_notation
    splits, warnings = read_splits(path, partial(choose_target, target=target), known)
    train = splits["train"]
    label = choose_target(train.file, train.table.column_names, target=target)
    rest = train.table.drop_columns([label])
    text = text_column(rest)
    if text is None and isinstance(spec, TextSpec):
        text = _only_text(train.file, rest)
    kind: Kind = "table" if text is None else "text"
    return RawData(
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        kind=kind,
        splits={name: _raw_split(split, label, text) for name, split in splits.items()},
        classes=class_names(train.table.schema.metadata or {}, label),
        target=label,
        target_notation=notations_in(train.table).get(label) or POINT,
        warnings=tuple(warnings),
    )


def choose_target(file: Path, columns: list[str], *, target: str | None) -> str:
    """Choose the label's column.

    Args:
        file: The table, for errors.
        columns: Its columns.
        target: The one that was asked for.

    Returns:
        Its name.

    Raises:
        DataError: If it is absent, not known, or the only column.
    """
    if target is not None and target not in columns:
        raise DataError(f"{file} has no column {target!r}", nearest(target, columns))
    if len(columns) < 2:
        seen = f"one column only, {columns[0]!r}" if columns else "no columns"
        raise DataError(
            f"{file} has {seen}",
            f"a label is needed beside the data; in CSV, {EXPECTED}",
        )
    usual = sorted(columns, key=lambda name: name not in TARGETS)
    found = next((name for each in TARGETS for name in usual if name.lower() == each), None)
    chosen = target or found or (columns[1] if len(columns) == 2 else None)
    return chosen or _fail_unnamed(file, columns)


def _fail_unnamed(file: Path, columns: list[str]) -> NoReturn:
    there = _listed(columns)
    raise DataError(
        f"none of the {len(columns)} columns of {file} is called {', '.join(TARGETS[:-1])} or y",
        f"say which one is the label, such as --label {columns[-1]!r}; there are {there}",
    )


def _listed(columns: list[str]) -> str:
    more = f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
    return ", ".join(columns[:SHOWN_COLUMNS]) + more


def text_column(table: Any) -> str | None:  # noqa: ANN401  a pyarrow.Table
    """Find the column that makes a table text.

    Args:
        table: A ``pyarrow.Table`` without the label's column.

    Returns:
        The only column, if it is free text; or one called ``text``, ``sentence``, ``question`` or
        ``review`` that is, where every other column has another value in each row; else None.
    """
    names = table.column_names
    free = [name for name in names if _is_free_text(table.column(name))]
    if len(free) != 1 or (len(names) > 1 and free[0].lower() not in TEXTS):
        return None
    rest = (table.column(name) for name in names if name != free[0])
    return free[0] if all(map(_is_numbering, rest)) else None


def _is_numbering(column: Any) -> bool:  # noqa: ANN401  a pyarrow.ChunkedArray
    """Say whether every cell is another; cells that cannot be compared, such as lists, are not."""
    arrow, compute = require("pyarrow", "train"), require("pyarrow.compute", "train")
    try:
        return bool(compute.count_distinct(column).as_py() == len(column))
    except arrow.ArrowNotImplementedError:
        return False


def name_of_text(names: Sequence[str], words: Sequence[str]) -> str | None:
    """Tell which column holds the text, where it is known that one does.

    Args:
        names: All columns.
        words: Those that hold strings.

    Returns:
        The one called ``text``, ``sentence``, ``question`` or ``review``, else the only one of
        strings that has no label's name; None where that is not one column.
    """
    known = [name for name in names if name.lower() in TEXTS]
    others = [name for name in words if name.lower() not in TARGETS]
    return next((found[0] for found in (known, others) if len(found) == 1), None)


def _only_text(file: Path, table: Any) -> str:  # noqa: ANN401  a pyarrow.Table
    names = table.column_names
    found = name_of_text(names, [name for name in names if is_text(table.column(name))])
    if found is None or not is_text(table.column(found)):
        raise DataError(
            f"{file}: which column is the text that the model takes, of {_listed(names)}?",
            f"call it {TEXTS[0]}, or leave only it beside the label",
        )
    return found


def _is_free_text(column: Any) -> bool:  # noqa: ANN401  a pyarrow.ChunkedArray
    if not is_text(column):
        return False
    compute = require("pyarrow.compute", "train")
    words = words_in(column.slice(0, LOOKED_AT)).drop_null()
    if not len(words) or compute.count_distinct(words).as_py() < DISTINCT_SHARE * len(words):
        return False
    blanks = compute.mean(compute.count_substring(words, " ")).as_py()
    length = compute.mean(compute.utf8_length(words)).as_py()
    return bool(blanks + 1 >= MANY_WORDS or (length > LONG_TEXT and blanks > 0))


def _raw_split(split: SplitTable, label: str, text: str | None) -> RawSplit:
    labels = label_cells(split.table.column(label))
    contents = split.table.drop_columns([label]).replace_schema_metadata({"label": label})
    if text is not None:
        contents = [words or "" for words in contents.column(text).to_pylist()]
    return RawSplit(items=split.items, labels=labels, contents=contents)


def label_cells(column: Any) -> list[object]:  # noqa: ANN401  a pyarrow.ChunkedArray
    """Read a column of labels.

    Args:
        column: (N,) of any type.

    Returns:
        N cells: strings that all hold numbers as numbers, whole ones if all are written so, and
        None where they are missing.
    """
    if not is_text(column):
        return python_cells(column)
    arrow, compute = require("pyarrow", "train"), require("pyarrow.compute", "train")
    numbers = numbers_in(column)
    words = compute.utf8_trim(column, BLANKS)
    coded = compute.any(compute.match_substring_regex(words, LEADING_ZERO)).as_py()
    if coded or numbers.wrong.any() or numbers.infinite.any() or numbers.missing.all():
        blank = compute.is_in(words, arrow.array(NO_LABEL, words.type))
        given: list[object] = compute.if_else(blank, None, words).to_pylist()
        return given
    measured = compute.any(compute.match_substring_regex(words, "[0-9.][.eE]|[.][0-9]")).as_py()
    cells = numbers.values.tolist() if measured else words.to_pylist()
    return [
        None if missing else cell if measured else int(cell)
        for cell, missing in zip(cells, numbers.missing.tolist(), strict=True)
    ]
