"""Rows of files, one after another, with nothing but the standard library (Parquet: pyarrow).

CSV is read as training reads it: the separator that makes most of the first rows, UTF-8 or UTF-16,
else Latin-1, and numbers with a comma before decimals or between thousands: as the training data
had them, where all of a column can be read so, else as all of it can be. So each file is gone
through twice where it has columns of numbers.
"""

import codecs
import csv
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

import msgspec

from diptych.core.errors import DataError
from diptych.core.specs import Notation
from diptych.core.text import size
from diptych.data.delimited import HEAD_BYTES, RAGGED, column_names, separator_of
from diptych.data.parquet import opened
from diptych.inference.numerals import Numerals

Record = dict[str, object]

MAX_LINE_BYTES = 32 << 20
MAX_LIST_BYTES = 256 << 20
MAX_COLUMNS = 20_000
BLOCK = 1 << 20
BATCH_ROWS = 512
NONE: Mapping[str, Notation] = MappingProxyType({})
OBJECT = "write one JSON object of column names to cells per line"


def read_records(path: Path, numbers: Mapping[str, Notation] = NONE) -> Iterator[Record]:
    """Read the rows of a file.

    Args:
        path: A file named as one of ``READERS``.
        numbers: The columns that hold numbers, and how the training data wrote them.

    Yields:
        Rows as column names to cells; cells of CSV are strings.

    Raises:
        DataError: If it cannot be read, is not what its name says, or a row is out of shape.
    """
    try:
        yield from READERS[path.suffix.lower()](path, numbers)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}", "check the path") from error


def count_lines(path: Path) -> int:
    """Count the lines of a file: about as many as it has rows.

    Args:
        path: The file.

    Returns:
        How many line ends it has; of Parquet its rows.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        if path.suffix.lower() == ".parquet":
            with opened(path) as table:
                return int(table.metadata.num_rows)
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(partial(file.read, BLOCK), b""))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}", "check the path") from error


def parse_lines(lines: Callable[[int], bytes], name: str) -> Iterator[Record]:
    """Read JSON objects, one per line.

    Args:
        lines: Gives the next line, cut at a number of bytes, empty at the end: a file's `readline`.
        name: What to call it in an error.

    Yields:
        The objects.

    Raises:
        DataError: If a line is too long, or not an object.
    """
    decoder = msgspec.json.Decoder(Record)
    read = partial(lines, MAX_LINE_BYTES + 1)
    for number, line in enumerate(iter(read, b""), start=1):
        if len(line) > MAX_LINE_BYTES:
            limit = size(MAX_LINE_BYTES)
            raise DataError(f"line {number} of {name} is longer than {limit}", OBJECT)
        content = line.removeprefix(codecs.BOM_UTF8).strip()
        if content:
            try:
                yield decoder.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise DataError(f"line {number} of {name}: {error}", OBJECT) from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _json(path: Path, _numbers: Mapping[str, Notation]) -> Iterator[Record]:
    with path.open("rb") as file:
        start = file.read(BLOCK).removeprefix(codecs.BOM_UTF8).lstrip()
        file.seek(0)
        if not start.startswith(b"["):
            yield from parse_lines(file.readline, str(path))
            return
        content = file.read(MAX_LIST_BYTES + 1)
    if len(content) > MAX_LIST_BYTES:
        raise DataError(f"the list in {path} is longer than {size(MAX_LIST_BYTES)}", OBJECT)
    try:
        yield from msgspec.json.decode(content.removeprefix(codecs.BOM_UTF8), type=list[Record])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: {error}", OBJECT) from error


def _delimited(path: Path, numbers: Mapping[str, Notation]) -> Iterator[Record]:
    csv.field_size_limit(MAX_LINE_BYTES)
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            separator = separator_of(file.read(HEAD_BYTES))
            rows = _rows(file, separator)
            names = _names(next(rows, []), path)
            written = {
                place: Numerals(decimal_comma=separator == ";", known=numbers[name])
                for place, name in enumerate(names)
                if name in numbers
            }
            for row in rows if written else ():
                for place, numerals in written.items():
                    numerals.look(row[place] if place < len(row) else "")
            for number, row in enumerate(islice(_rows(file, separator), 1, None), start=2):
                _check_width(row, names, number, path)
                for place, numerals in written.items():
                    row[place] = numerals.plain(row[place])
                yield dict(zip(names, row, strict=True))
    except (csv.Error, UnicodeError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}", "check its quotes") from error


def _rows(file: TextIO, separator: str) -> Iterator[list[str]]:
    file.seek(0)
    return (row for row in csv.reader(file, delimiter=separator) if row)


def _names(header: list[str], path: Path) -> list[str]:
    if not "".join(header).strip() or len(header) > MAX_COLUMNS:
        raise DataError(
            f"{path} does not begin with the names of its columns, at most {MAX_COLUMNS:,}",
            "put them above",
        )
    return column_names(path, header)[0]


def _check_width(row: list[str], names: list[str], number: int, path: Path) -> None:
    if len(row) != len(names):
        raise DataError(
            f"{path}: row {number} has {len(row)} cells, the header {len(names)}",
            RAGGED,
        )


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(BLOCK)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if not start.strip() or b"\0" in start:
            seen = f"it begins with {start[:8]!r}" if start else "it is empty"
            raise DataError(f"{path} is not a table in CSV ({seen})", "give one with a header")
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        try:
            for block in (start, *iter(partial(file.read, BLOCK), b"")):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


def _parquet(path: Path, _numbers: Mapping[str, Notation]) -> Iterator[Record]:
    with opened(path) as table:
        for batch in table.iter_batches(BATCH_ROWS):
            for row in batch.to_pylist():
                yield {name: _plain(cell) for name, cell in row.items()}


def _plain(cell: object) -> object:
    return float(cell) if isinstance(cell, Decimal) else cell


READERS: dict[str, Callable[[Path, Mapping[str, Notation]], Iterator[Record]]] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
    ".parquet": _parquet,
}
