"""JSON rows: one object per line, or a list of objects, to a table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from diptych.core.errors import DataError
from diptych.core.extras import require
from diptych.data.limits import MOST_COLUMNS, check_cells
from diptych.tasks.table import word_of

BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
EXPECTED = "write one JSON object of column names to cells per line"


def read_json_rows(path: Path) -> Any:  # noqa: ANN401  a pyarrow.Table
    """Read a file of JSON rows.

    Args:
        path: A file of objects, one per line or in one list; a name absent from a row is missing.

    Returns:
        A ``pyarrow.Table``; a column of cells of several types becomes words.

    Raises:
        DataError: If a line is not an object, a cell is one, there are no rows, or too many
            columns, as where names differ from row to row.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path} is empty", EXPECTED)
    names = _names(path, rows)
    columns = [_column(path, name, [row.get(name) for row in rows]) for name in names]
    return require("pyarrow", "train").table(columns, names=names)


def _rows(path: Path) -> Iterator[dict[str, object]]:
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").strip()
    if content.startswith(b"["):
        yield from _decoded(content, f"{path}", list[dict[str, object]])
        return
    decoder = msgspec.json.Decoder(dict[str, object])
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            try:
                yield decoder.decode(line)
            except BROKEN as error:
                raise DataError(f"line {number} of {path}: {error}", EXPECTED) from error


def _decoded(content: bytes, place: str, kind: Any) -> Any:  # noqa: ANN401  of that kind
    try:
        return msgspec.json.decode(content, type=kind)
    except BROKEN as error:
        raise DataError(f"{place}: {error}", EXPECTED) from error


def _names(path: Path, rows: Sequence[dict[str, object]]) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
        if len(names) > MOST_COLUMNS:
            raise DataError(
                f"{path} has more than {MOST_COLUMNS:,} columns, such as {next(reversed(names))!r}",
                "give every row the same names",
            )
    check_cells(path, len(rows), len(names))
    return list(names)


def _column(path: Path, name: str, cells: list[object]) -> Any:  # noqa: ANN401  a pyarrow.Array
    arrow = require("pyarrow", "train")
    try:
        return arrow.array(cells)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, OverflowError):
        pass
    try:
        return arrow.array([word_of(cell) for cell in cells], arrow.string())
    except TypeError as error:
        raise DataError(f"column {name!r} of {path}: {error}", EXPECTED) from error
