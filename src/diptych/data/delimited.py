"""CSV and its kin: header, separator and encoding found out, every cell read as a string."""

import codecs
import csv
from contextlib import suppress
from functools import reduce
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

from diptych.core.errors import DataError
from diptych.core.extras import require
from diptych.data.names import check_distinct
from diptych.data.notation import SEPARATOR

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
OTHER_SEPARATORS = {":": "colons", "^": "carets", "~": "tildes", " ": "blanks"}
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
HEAD_BYTES = 256 << 10
HEAD_ROWS = 20
BLOCK_BYTES = 32 << 20
NAMED_ROWS = 3
RAGGED = "put cells that hold the separator in double quotes, and nothing above the header"
EXPECTED = "separate cells by commas, semicolons, tabs or bars"


def read_delimited(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Read a file of separated cells with a header.

    Args:
        path: UTF-8 (with or without a mark), UTF-16 with a mark, else taken as Latin-1.

    Returns:
        A ``pyarrow.Table`` of strings as they are written, where missing cells are empty, with the
        separator in its metadata; and warnings.

    Raises:
        DataError: If it is empty, not text, has no usable header, or rows of unequal length.
    """
    head, encoding = _head(path)
    separator = _separator(path, head)
    names, warnings = column_names(path, _rows(head, separator)[0])
    above = len(head) - len(head.lstrip("\r\n"))
    skipped = 1 + len(head[:above].splitlines())
    table = _read(path, names, separator, (encoding, skipped))
    if not table.num_rows:
        raise DataError(f"{path} has a header and no rows", "add rows")
    _check_repeated(path, table)
    if encoding == "latin-1":
        warnings.append(f"{path.name} is not UTF-8 and was read as Latin-1")
    return table.replace_schema_metadata({SEPARATOR: separator}), tuple(warnings)


def _head(path: Path) -> tuple[str, str]:
    """Return the beginning of a file, and the encoding of all of it."""
    with path.open("rb") as file:
        start = file.read(HEAD_BYTES)
    if not start.strip():
        raise DataError(f"{path} is empty", "give a table with a header")
    encoding = "utf-16" if start.startswith(UTF_16_MARKS) else "utf-8"
    if encoding == "utf-8" and b"\0" in start:
        raise DataError(
            f"{path} is not text (it begins with {start[:8]!r}, byte {start.index(0):,} is 0)",
            "save the table as CSV",
        )
    if encoding == "utf-8" and not _is_utf_8(path):
        encoding = "latin-1"
    head = start.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="ignore")
    return head, encoding


def _is_utf_8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(HEAD_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def separator_of(head: str) -> str:
    """Find the separator that gives most cells, the same number in nearly every row.

    Args:
        head: The beginning of a file.

    Returns:
        One of ``SEPARATORS``.
    """
    return max(SEPARATORS, key=lambda separator: _shape(_rows(head, separator)))


def _rows(head: str, separator: str) -> list[list[str]]:
    lines = list(StringIO(head, newline=""))
    lines = lines if len(head) < HEAD_BYTES // 4 else lines[:-1] or lines
    rows: list[list[str]] = []
    with suppress(csv.Error):  # such as a text too long for this reader
        rows.extend(islice(filter(None, csv.reader(lines, delimiter=separator)), HEAD_ROWS))
    return rows or [[""]]


def _separator(path: Path, head: str) -> str:
    best = separator_of(head)
    if _shape(_rows(head, best))[0] > 1:
        return best
    for separator, noun in OTHER_SEPARATORS.items():
        rows = _rows(head, separator)
        if _shape(rows)[0] > 1 and " " not in (rows[0][0], separator):
            raise DataError(f"{path} seems to be separated by {noun}", EXPECTED)
    return best


def _shape(rows: list[list[str]]) -> tuple[int, int]:
    """Return how many cells the header has, 2 at most where others differ, and how many do not.

    One cell alone separates nothing, however many rows have no more.
    """
    width = len(rows[0])
    same = sum(len(row) == width for row in rows)
    if width == 1:
        return 1, 0
    return width if same >= max(1, 0.8 * len(rows)) else min(width, 2), same


def column_names(path: Path, header: list[str]) -> tuple[list[str], list[str]]:
    """Check the first row of a file.

    Args:
        path: The file.
        header: Its cells.

    Returns:
        The names of the columns, made up where there are none, and warnings.

    Raises:
        DataError: If two are the same, or it is no header.
    """
    names = [name.strip() for name in header]
    if names[0].lower() == "sep=":
        raise DataError(f"{path} begins with {header[0]!r}, a mark for Excel", "take it out")
    warnings = [
        f"column {place} of {path.name} has no name"
        for place, name in enumerate(names, start=1)
        if not name
    ]
    names = [name or f"column {place}" for place, name in enumerate(names, start=1)]
    if all(name.replace(".", "").replace("-", "").isdecimal() for name in names):
        raise DataError(
            f"{path} has no header: its first line is {', '.join(names[:5])}",
            "put the names of the columns above",
        )
    check_distinct(path, names)
    return names, warnings


def _read(path: Path, names: list[str], separator: str, form: tuple[str, int]) -> Any:  # noqa: ANN401
    arrow = require("pyarrow", "train")
    try:
        return _parse(path, names, separator, form)
    except (arrow.ArrowInvalid, UnicodeError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise DataError(f"{path} cannot be read as CSV: {reason}", EXPECTED) from error


def _parse(path: Path, names: list[str], separator: str, form: tuple[str, int]) -> Any:  # noqa: ANN401
    """Read cells; `form` is the encoding, and how many rows the header and blanks above it are."""
    encoding, skipped = form
    arrow, files = require("pyarrow", "train"), require("pyarrow.csv", "train")
    ragged: list[Any] = []

    def note(row: Any) -> str:  # noqa: ANN401  a pyarrow.csv.InvalidRow
        ragged.append(row)
        return "skip"

    table = files.read_csv(
        path,
        read_options=files.ReadOptions(
            column_names=names,
            skip_rows_after_names=skipped,
            block_size=BLOCK_BYTES,
            use_threads=False,
            encoding=encoding,
        ),
        parse_options=files.ParseOptions(
            delimiter=separator, newlines_in_values=True, invalid_row_handler=note
        ),
        convert_options=files.ConvertOptions(
            column_types=dict.fromkeys(names, arrow.string()), strings_can_be_null=False
        ),
    )
    if ragged:
        _fail_ragged(path, ragged, len(names))
    return table


def _check_repeated(path: Path, table: Any) -> None:  # noqa: ANN401
    compute = require("pyarrow.compute", "train")
    same = [compute.equal(table.column(name), name) for name in table.column_names]
    row = compute.index(reduce(compute.and_, same), True).as_py()
    if row >= 0:
        raise DataError(f"{path} has its header again in row {row + 2}", "take that row out")


def _fail_ragged(path: Path, ragged: list[Any], width: int) -> None:
    where = ", ".join(f"row {row.number} has {row.actual_columns}" for row in ragged[:NAMED_ROWS])
    more = f", and {len(ragged) - NAMED_ROWS} more" if len(ragged) > NAMED_ROWS else ""
    raise DataError(
        f"{path}: the header has {width} cells, {where}{more}",
        RAGGED,
    )
