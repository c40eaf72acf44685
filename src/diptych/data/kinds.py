"""Kinds of data that are not read yet, told apart by their files' names."""

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from diptych.core.errors import DataError

SUPPORTED = (
    "known: a built-in name (digits), a folder of class folders of pictures or sounds, a folder of "
    "idx files, CSV, TSV, JSON lines, Parquet"
)
OTHER_KINDS = {
    "tables and text of other formats": (".txt", ".xlsx", ".xls", ".ods", ".arrow", ".feather"),
    "sound of other formats": (".mp3", ".m4a", ".aac", ".opus", ".aiff"),
    "archives": (".zip", ".tar", ".gz", ".tgz", ".7z"),
    "pictures of other formats": (".tif", ".tiff", ".heic", ".avif", ".jxl", ".svg"),
}


def fail_unknown(place: Path, files: Iterable[Path]) -> NoReturn:
    """Say that a place holds nothing that can be read, and what it seems to hold.

    Args:
        place: What the user named, or a folder in it.
        files: What was found there.

    Raises:
        DataError: Always.
    """
    suffixes = {file.suffix.lower() for file in files}
    for kind, theirs in OTHER_KINDS.items():
        if found := suffixes.intersection(theirs):
            seen = ", ".join(sorted(found))
            raise DataError(f"{place}: {kind} ({seen}) cannot be read yet", SUPPORTED)
    raise DataError(f"{place} holds no data of a known kind", SUPPORTED)
