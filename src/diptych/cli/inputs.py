"""The words after a bundle: files, folders, tables, texts, rows or standard input, as inputs."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diptych.cli.output import note
from diptych.core.errors import ConfigError, DataError
from diptych.core.specs import InputSpec, TableSpec, TextSpec
from diptych.core.text import nearest
from diptych.data.tables import name_of_text
from diptych.inference.inputs import Named, files_in
from diptych.inference.records import (
    MAX_LINE_BYTES,
    READERS,
    Record,
    count_lines,
    parse_lines,
    read_records,
)
from diptych.tasks import FILE_SUFFIXES

STDIN = "-"
MAX_STDIN_BYTES = 64 << 20
SHOWN_COLUMNS = 8
TEXT_SUFFIXES = (".txt",)
PLACE = re.compile(r"[/\\]\S*\.\w{1,8}$")
ABSENT = "check the path"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Inputs, and about how many there are; 0 where that is not known."""

    items: Iterable[Named]
    count: int = 0


def open_inputs(words: Sequence[str], spec: InputSpec, column: str | None) -> list[Source]:
    """Find what words stand for; what is absent is told before anything is predicted.

    Args:
        words: Paths, ``-`` for standard input, or texts, as the bundle takes them.
        spec: What the bundle takes.
        column: The column of tables that holds the text.

    Returns:
        The inputs of each word.

    Raises:
        ConfigError: If a column is named for what is not text.
    """
    if column is not None and not isinstance(spec, TextSpec):
        raise ConfigError(
            "--column names a column of texts, this bundle takes none", "leave it out"
        )
    source = SOURCES.get(type(spec), _files)
    return [source(word, spec, column) for word in words]


def _files(word: str, spec: InputSpec, _column: str | None) -> Source:
    path, suffixes = Path(word), FILE_SUFFIXES.get(type(spec), ())
    if word == STDIN:
        return Source(items=[Named(STDIN, _standard_input())], count=1)
    if not word.strip() or not _exists(path):
        raise DataError(f"there is no file or folder {word!r}", ABSENT)
    if path.is_dir():
        found = [Named(str(file), file) for file in files_in(path, suffixes)]
        return Source(items=found, count=len(found))
    return Source(items=[Named(word, path)], count=1)


def _standard_input() -> bytes:
    data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if not data:
        raise DataError("nothing came on standard input", "pipe one file's content into it")
    return data


def _texts(word: str, _spec: InputSpec, column: str | None) -> Source:
    path = Path(word)
    if word == STDIN:
        return Source(items=_lines_of_text())
    if not word.strip() or not _exists(path):
        if path.suffix.lower() in (*TEXT_SUFFIXES, *READERS) or PLACE.search(word):
            raise DataError(f"there is no file {word!r}", f"{ABSENT}, or pipe the text into -")
        return Source(items=[Named(word, word)], count=1)
    if path.is_dir():
        found = [Named(str(file), file) for file in files_in(path, TEXT_SUFFIXES)]
        return Source(items=found, count=len(found))
    if path.suffix.lower() in READERS:
        return Source(items=_text_cells(path, column), count=count_lines(path))
    return Source(items=[Named(word, path)], count=1)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a text too long for a name
        return False


def _lines_of_text() -> Iterator[Named]:
    lines = sys.stdin.buffer
    for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES), b"")):
        try:
            text = line.decode("utf-8-sig" if number == 0 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"line {number + 1} of standard input is not UTF-8", "convert it"
            ) from error
        yield Named(text, text)


def _text_cells(path: Path, column: str | None) -> Iterator[Named]:
    chosen = column
    for number, row in enumerate(read_records(path)):
        if number == 0:
            chosen = _text_column(path, row, column)
        text = row.get(chosen or "")
        yield Named(f"{path}#{number}", "" if text is None else str(text))


def _text_column(path: Path, row: Record, column: str | None) -> str:
    if column is not None and column not in row:
        raise DataError(f"{path} has no column {column!r}", nearest(column, row))
    words = [name for name in row if isinstance(row[name], str)]
    if found := column or name_of_text(list(row), words):
        return found
    shown = ", ".join(list(row)[:SHOWN_COLUMNS])
    raise DataError(f"{path}: which column is the text?", f"name it by --column, one of {shown}")


def _rows(word: str, spec: TableSpec, _column: str | None) -> Source:
    path = Path(word)
    if word == STDIN:
        read = sys.stdin.buffer.readline
        return Source(
            items=_known_cells("standard input", parse_lines(read, "standard input"), spec)
        )
    if word.lstrip().startswith("{"):
        return Source(items=[Named("row", word)], count=1)
    if not (_exists(path) and path.is_file()):
        raise DataError(f"there is no file {word!r}", ABSENT)
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"{path} is not a table that can be read", f"save it as one of {', '.join(READERS)}"
        )
    rows = _known_cells(word, read_records(path, spec.notations()), spec)
    return Source(items=rows, count=count_lines(path))


def _known_cells(name: str, rows: Iterator[Record], spec: TableSpec) -> Iterator[Named]:
    """Leave out the cells of columns that the bundle does not know, and say so once."""
    names = [column.name for column in spec.columns]
    known = {*names, *spec.ignored}
    told: set[str] = set()
    for number, row in enumerate(rows):
        if number == 0:
            _check_columns(name, row, names)
        if strange := row.keys() - known:
            if new := [each for each in row if each in strange and each not in told]:
                note(f"{name}: passed over {_listed(new)}, which the bundle does not use")
                told.update(new)
            row = {key: cell for key, cell in row.items() if key in known}  # noqa: PLW2901
        yield Named(f"{name}#{number}", row)


def _check_columns(name: str, row: Record, names: list[str]) -> None:
    absent = [column for column in names if column not in row]
    if len(absent) == len(names):
        raise DataError(
            f"{name} has none of the bundle's columns, it has {_listed(list(row))}",
            f"the bundle uses {_listed(names)}",
        )
    known = frozenset(names)
    folded = {each.strip().lower(): each for each in row if each not in known}
    for column in absent:
        if meant := folded.get(column.strip().lower()):
            raise DataError(f"{name} has no column {column!r}, but {meant!r}", "rename it")
    if absent:
        note(f"{name}: without {_listed(absent)}, taken as missing")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else ""
    return ", ".join(repr(name) for name in names[:SHOWN_COLUMNS]) + more


SOURCES: Mapping[type, Callable[[str, Any, str | None], Source]] = {
    TextSpec: _texts,
    TableSpec: _rows,
}
"""Kinds of input that are not files."""
