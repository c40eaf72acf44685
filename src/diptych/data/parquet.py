"""Parquet as the Hugging Face Hub lays it out: pictures as file content, labels beside them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from diptych.core.errors import DataError
from diptych.core.extras import require
from diptych.core.text import nearest
from diptych.data.limits import check_cells
from diptych.data.names import check_distinct
from diptych.data.raw import SPLIT_NAMES, RawData, RawSplit

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "target")
BATCH_ROWS, BATCH_BYTES = 256, 8 << 20
READ_BYTES = 1 << 20
NO_NAMES = (KeyError, TypeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError)
LEADING_WORD = re.compile(r"[A-Za-z0-9]+")


def parquet_files(folder: Path) -> list[Path]:
    """Find the Parquet files of a folder.

    Args:
        folder: An existing folder.

    Returns:
        The files in it, else those of its folder ``data``.
    """
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))


def read_parquet(path: Path, target: str | None = None) -> RawData:
    """Read Parquet.

    Args:
        path: A file, or a folder of such as ``train-00000-of-00005.parquet``; where no name begins
            with a split, all are training data.
        target: The label's column; by default ``label``, ``labels`` or ``target``.

    Returns:
        Its splits, rows in the order of the files.

    Raises:
        DataError: If a file is damaged or says that it is too large, or a column is absent or of
            another type.
    """
    files = [path] if path.is_file() else parquet_files(path)
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(split_of(file), []).append(file)
    if path.is_file() or set(by_split) == {""}:
        by_split = {"train": files}
    stray = by_split.pop("", [])
    if "train" not in by_split:
        raise DataError(f"{path} has no train-*.parquet", "the training split is needed")
    image, label, classes = _columns(by_split["train"][0], target)
    return RawData(
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        splits={split: _read_split(found, image, label) for split, found in by_split.items()},
        classes=classes,
        warnings=tuple(f"{file.name} belongs to no split and was passed over" for file in stray),
    )


def holds_rows(file: Path) -> bool:
    """Say whether a Parquet file is a plain table, without pictures or other files' content.

    Args:
        file: The file.

    Returns:
        True if no column is called ``image`` or ``img`` and none holds bytes; False also where it
        cannot be read.
    """
    types = require("pyarrow", "train").types
    try:
        with opened(file) as table:
            schema = table.schema_arrow
    except DataError:
        return False
    kinds = [_content_type(field.type) for field in schema]
    binary = any(types.is_binary(kind) or types.is_large_binary(kind) for kind in kinds)
    return not binary and not set(IMAGE_COLUMNS).intersection(schema.names)


def _content_type(kind: Any) -> Any:  # noqa: ANN401  a pyarrow.DataType
    types = require("pyarrow", "train").types
    has_bytes = types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    return kind.field("bytes").type if has_bytes else kind


def split_of(file: Path) -> str:
    """Tell which split a file belongs to.

    Args:
        file: The file; only its name is looked at.

    Returns:
        The split that its name begins with, or an empty string.
    """
    word = LEADING_WORD.match(file.name)
    return SPLIT_NAMES.get(word[0].lower(), "") if word else ""


def _read_split(files: Sequence[Path], image: str, label: str) -> RawSplit:
    items: list[str] = []
    labels: list[object] = []
    for file in files:
        with opened(file) as table:
            for column in (image, label):
                _pick(file, table.schema_arrow.names, (column,))
            check_cells(file, table.metadata.num_rows, table.metadata.num_columns)
            values = table.read(columns=[label]).column(0).to_pylist()
        labels += values
        items += [f"{file.name}#{row}" for row in range(len(values))]
    return RawSplit(items=items, labels=labels, contents=partial(_batches, files, image))


def _batches(files: Sequence[Path], image: str) -> Iterator[Sequence[bytes]]:
    for file in files:
        with opened(file, buffer_size=READ_BYTES, pre_buffer=False) as table:
            mean_bytes = file.stat().st_size // max(1, table.metadata.num_rows)
            rows = min(max(1, BATCH_BYTES // max(1, mean_bytes)), BATCH_ROWS)
            for batch in table.iter_batches(rows, columns=[image]):
                yield [_content(value) for value in batch.column(0).to_pylist()]


def _content(value: dict[str, bytes | None] | bytes | None) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    return content or b""


def _columns(file: Path, target: str | None) -> tuple[str, str, tuple[str, ...] | None]:
    types = require("pyarrow", "train").types
    with opened(file) as table:
        schema = table.schema_arrow
    image = _pick(file, schema.names, IMAGE_COLUMNS)
    label = _pick(file, schema.names, (target,) if target else LABEL_COLUMNS)
    kind = _content_type(schema.field(image).type)
    if not (types.is_binary(kind) or types.is_large_binary(kind)):
        raise DataError(
            f"column {image!r} of {file} is {schema.field(image).type}, not pictures",
            "it must hold the content of picture files: binary, or struct<bytes, path>",
        )
    return image, label, class_names(schema.metadata or {}, label)


def _pick(file: Path, columns: Sequence[str], wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in columns:
            return name
    raise DataError(
        f"{file} has no column {' or '.join(map(repr, wanted))}", nearest(wanted[0], columns)
    )


def class_names(metadata: dict[bytes, bytes], label: str) -> tuple[str, ...] | None:
    """Read the class names that Hugging Face `datasets` writes into a schema.

    Args:
        metadata: The schema's metadata.
        label: The label's column.

    Returns:
        The names, or None where there are none.
    """
    try:
        features = msgspec.json.decode(metadata[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
        return msgspec.convert(names, tuple[str, ...])
    except NO_NAMES:
        return None


@contextmanager
def opened(file: Path, **reading: Any) -> Iterator[Any]:  # noqa: ANN401  pyarrow's own
    """Open a Parquet file.

    Args:
        file: The file.
        **reading: How ``pyarrow.parquet.ParquetFile`` reads it.

    Yields:
        A ``pyarrow.parquet.ParquetFile``.

    Raises:
        PermissionError: If it may not be read.
        DataError: If it is damaged, on opening or while it is read, two columns have one name, or
            Python has no value for a cell: a string that is not UTF-8, a date after the year 9999.
    """
    arrow = require("pyarrow", "train")
    parquet = require("pyarrow.parquet", "train")
    try:
        with parquet.ParquetFile(file, **reading) as table:
            check_distinct(file, table.schema_arrow.names)
            yield table
    except PermissionError:
        raise
    except (arrow.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise DataError(f"{file} cannot be read as Parquet: {reason}", "get it again") from error
