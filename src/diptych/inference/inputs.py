"""Inputs as people have them: files in folders, and what each is called."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from diptych.core.errors import DataError

LONGEST_NAME = 256


class Named(Struct, frozen=True):
    """An input with a name of its own, such as the row of a file."""

    name: str
    item: object


def files_in(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Find the files of a kind in a folder and the folders below it.

    Args:
        folder: An existing folder.
        suffixes: How their names end, in lower case.

    Yields:
        Their paths, sorted; hidden ones are left out, and what archives leave behind.

    Raises:
        DataError: If there is none.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not _is_hidden(path.relative_to(folder))
        and path.is_file()
    )
    if not found:
        raise DataError(f"{folder} holds no {', '.join(suffixes)} files", "check the path")
    yield from found


def _is_hidden(path: Path) -> bool:
    folders = path.parts[:-1]
    return path.name.startswith(".") or any(name.startswith((".", "__")) for name in folders)


def name_of(item: object, index: int | None = None) -> str:
    """Name an input for people.

    Args:
        item: A path, a text, encoded content, an array, a row, or what has a name.
        index: Its place in the list it came in.

    Returns:
        The path or the beginning of the text, or such as ``bytes``, ``row#7`` or ``array#3``.
    """
    if isinstance(item, Named):
        return _shown(item.name)
    if isinstance(item, str | Path):
        return _shown(str(item))
    kind = "bytes" if isinstance(item, bytes) else "row" if isinstance(item, Mapping) else "array"
    return kind if index is None else f"{kind}#{index}"


def _shown(name: str) -> str:
    """Cut a long name, and spell what UTF-8 cannot hold."""
    name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


def content_of(item: object) -> object:
    """Give an input without its name.

    Args:
        item: Any input.

    Returns:
        What is named, or the item itself.
    """
    return item.item if isinstance(item, Named) else item
