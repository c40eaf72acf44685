"""Files of tables: CSV, TSV, JSON rows and Parquet, alone or as splits of a folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from diptych.core.errors import DataError
from diptych.core.extras import require
from diptych.core.specs import Notation
from diptych.data.delimited import read_delimited
from diptych.data.json_rows import read_json_rows
from diptych.data.limits import check_cells
from diptych.data.notation import notations_in, plain_tables
from diptych.data.parquet import opened, split_of

Table = Any
"""A ``pyarrow.Table``, which has no types."""
Loaded = tuple[Table, tuple[str, ...]]
SHOWN_COLUMNS = 5
PARQUET = ".parquet"
NONE: Mapping[str, Notation | None] = MappingProxyType({})


def read_parquet_table(path: Path) -> Loaded:
    """Read a Parquet file as a table.

    Args:
        path: The file.

    Returns:
        A ``pyarrow.Table`` without dictionaries, and no warnings.

    Raises:
        DataError: If it is damaged, says that it is too large, or holds strings that are not UTF-8.
    """
    with opened(path) as file:
        check_cells(path, file.metadata.num_rows, file.metadata.num_columns)
        table = file.read()
        _check_words(path, table)
        return _without_dictionaries(table), ()


def _check_words(path: Path, table: Table) -> None:
    """Check what Parquet's reader takes as it is: are strings, also those inside lists, UTF-8?"""
    arrow = require("pyarrow", "train")
    for name, column in zip(table.column_names, table.columns, strict=True):
        if arrow.types.is_primitive(column.type):
            continue
        try:
            column.validate(full=True)
        except arrow.ArrowInvalid as error:
            reason = str(error).split("\n", maxsplit=1)[0]
            raise DataError(
                f"column {name!r} of {path} cannot be read: {reason}", "write strings as UTF-8"
            ) from error


def _without_dictionaries(table: Table) -> Table:
    arrow = require("pyarrow", "train")
    columns = [
        column.cast(column.type.value_type) if arrow.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return arrow.table(columns, names=table.column_names, metadata=table.schema.metadata)


LOADERS: dict[str, Callable[[Path], Loaded]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": lambda path: (read_json_rows(path), ()),
    ".ndjson": lambda path: (read_json_rows(path), ()),
    ".json": lambda path: (read_json_rows(path), ()),
    PARQUET: read_parquet_table,
}


@dataclass(frozen=True, kw_only=True)
class SplitTable:
    """The rows of one split, their names for people, and the file that came first."""

    table: Table
    items: tuple[str, ...]
    file: Path


def table_files(folder: Path) -> list[Path]:
    """Find the files of tables in a folder.

    Args:
        folder: An existing folder.

    Returns:
        Parquet, if there is any in it, else in its folder ``data``; else other tables in it, else
        in ``data``.
    """
    places = [each for each in (folder, folder / "data") if each.is_dir()]
    found = [sorted(file for file in place.iterdir() if file.is_file()) for place in places]
    for suffixes in ((PARQUET,), tuple(LOADERS)):
        for files in found:
            if tables := [file for file in files if file.suffix.lower() in suffixes]:
                return tables
    return []


def load_table(path: Path) -> Loaded:
    """Read one file.

    Args:
        path: Named as one of ``LOADERS``.

    Returns:
        A ``pyarrow.Table`` and warnings.

    Raises:
        DataError: If its name says nothing known, or its content cannot be read.
    """
    load = LOADERS.get(path.suffix.lower())
    if load is None:
        raise DataError(f"{path} is not a table that can be read", f"known: {', '.join(LOADERS)}")
    return load(path)


def read_splits(
    path: Path,
    label_of: Callable[[Path, list[str]], str],
    known: Mapping[str, Notation | None] = NONE,
) -> tuple[dict[str, SplitTable], list[str]]:
    """Read all splits of a source.

    Args:
        path: A file, which is training data, or a folder of such as ``train.csv`` and ``test.csv``;
            where no name begins with a split, all files are training data.
        label_of: From the first training file and its columns to that of the label; another split
            that lacks only this one is passed over.
        known: How CSV writes the numbers of columns, where a bundle says it; None where it holds
            something else there.

    Returns:
        The splits, ``train`` always among them, and warnings.

    Raises:
        DataError: If there is no training data, a file cannot be read, or columns differ.
    """
    files = [path] if path.is_file() else table_files(path)
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(split_of(file), []).append(file)
    if path.is_file() or set(by_split) == {""}:
        by_split = {"train": files}
    stray = by_split.pop("", [])
    if "train" not in by_split:
        raise DataError(f"{path} has no train.csv or the like", "the training split is needed")
    warnings = [f"{file.name} belongs to no split and was passed over" for file in stray]
    warnings += [f"{each.name} is beside Parquet and was passed over" for each in _beside(path)]
    splits: dict[str, SplitTable] = {}
    label = ""
    for name in sorted(by_split, key=lambda split: split != "train"):
        train = splits.get("train")
        expected = {**(notations_in(train.table) if train else {}), **known}
        if loaded := _join(by_split[name], train, label, expected, warnings):
            splits[name] = loaded
            label = label or label_of(loaded.file, loaded.table.column_names)
    return splits, warnings


def _beside(path: Path) -> list[Path]:
    """Find the splits in other formats that lie beside a folder's files of Parquet."""
    files = table_files(path) if path.is_dir() else []
    if not files or files[0].suffix.lower() != PARQUET:
        return []
    others = set(LOADERS) - {PARQUET}
    near = sorted(files[0].parent.iterdir())
    return [file for file in near if file.suffix.lower() in others and split_of(file)]


def _join(
    files: Sequence[Path],
    train: SplitTable | None,
    label: str,
    known: Mapping[str, Notation | None],
    warnings: list[str],
) -> SplitTable | None:
    """Put the files together, with columns in the order of `train` and numbers as it has them."""
    arrow = require("pyarrow", "train")
    tables, names, items = [], [], []
    first = train
    for file in files:
        table, told = load_table(file)
        warnings += told
        if train is not None and set(train.table.column_names).difference(table.column_names) == {
            label
        }:
            warnings.append(f"{file.name} has no labels and was passed over")
            continue
        first = first or SplitTable(table=table, items=(), file=file)
        _check_columns(file, table, first)
        tables.append(table.select(first.table.column_names))
        names.append(file.name)
        items += [f"{file.name}#{row}" for row in range(table.num_rows)]
    if not tables:
        return None
    tables, read_otherwise = plain_tables(tables, known, names)
    try:
        table = arrow.concat_tables(tables, promote_options="permissive")
    except arrow.ArrowException as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise DataError(f"{files[0].parent}: files differ: {reason}", "write them alike") from error
    warnings += read_otherwise
    return SplitTable(table=table, items=tuple(items), file=files[0])


def _check_columns(file: Path, table: Table, first: SplitTable) -> None:
    ours, theirs = set(table.column_names), set(first.table.column_names)
    if ours == theirs:
        return
    parts = []
    if lacking := sorted(theirs - ours):
        parts.append(f"lacks {_listed(lacking)}")
    if more := sorted(ours - theirs):
        parts.append(f"has {_listed(more)} more")
    raise DataError(
        f"tables differ: beside {first.file.name}, {file.name} {' and '.join(parts)}",
        f"name one of them, such as {first.file}, or make their columns the same",
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:SHOWN_COLUMNS])
    return f"{shown} and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else shown
