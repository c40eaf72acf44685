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
    "tables and text of other formats": (
        (".txt", ".xlsx", ".xls", ".ods", ".arrow", ".feather"),
        "save the table as CSV, with a column of labels",
    ),
    "sound of other formats": (
        (".mp3", ".m4a", ".aac", ".opus", ".aiff"),
        "convert each to WAV or FLAC, such as with ffmpeg -i FILE FILE.wav",
    ),
    "archives": ((".zip", ".tar", ".gz", ".tgz", ".7z"), "unpack it"),
    "pictures of other formats": (
        (".tif", ".tiff", ".heic", ".avif", ".jxl", ".svg"),
        "convert each to PNG or JPEG",
    ),
}
"""Suffixes, and what to do about them."""


def fail_unknown(place: Path, files: Iterable[Path]) -> NoReturn:
    """Say that a place holds nothing that can be read, and what it seems to hold.

    Args:
        place: What the user named, or a folder in it.
        files: What was found there.

    Raises:
        DataError: Always.
    """
    suffixes = {file.suffix.lower() for file in files}
    for kind, (theirs, remedy) in OTHER_KINDS.items():
        if found := suffixes.intersection(theirs):
            seen = ", ".join(sorted(found))
            raise DataError(f"{place}: {kind} ({seen}) cannot be read yet", remedy)
    raise DataError(f"{place} holds no data of a known kind", SUPPORTED)
