"""Class folders: each folder's name is a class; train, validation and test may lie above them."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from diptych.core.errors import DataError
from diptych.data.kinds import fail_unknown
from diptych.data.raw import SPLIT_NAMES, RawData, RawSplit
from diptych.tasks.image import SUFFIXES

BATCH_ITEMS = 256


def read_folders(root: Path, target: str | None = None) -> RawData:
    """Read a tree of class folders.

    Args:
        root: It holds class folders, or ``train/`` (``validation/``, ``test/``) above such.
        target: Not used: the folder is the label.

    Returns:
        Its splits, pictures sorted by path.

    Raises:
        DataError: If it holds no pictures in class folders.
    """
    folders = subfolders(root)
    splits = {SPLIT_NAMES[each.name.lower()]: each for each in folders if _is_split(each)}
    if "train" not in splits:
        splits = {"train": root}
    ignored: list[Path] = []
    raw = {split: _read_split(root, folder, ignored) for split, folder in splits.items()}
    warnings = []
    if ignored:
        kinds = ", ".join(sorted({file.suffix.lower() or "no suffix" for file in ignored})[:5])
        warnings.append(f"{len(ignored)} files that are not pictures were passed over ({kinds})")
    return RawData(name=root.resolve().name, splits=raw, warnings=tuple(warnings))


def subfolders(folder: Path) -> list[Path]:
    """List the folders directly inside a folder.

    Args:
        folder: An existing folder.

    Returns:
        Them, sorted, without hidden ones and without what archives leave behind.
    """
    return sorted(each for each in folder.iterdir() if each.is_dir() and not _is_hidden(each.name))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def _is_split(folder: Path) -> bool:
    return folder.name.lower() in SPLIT_NAMES and bool(subfolders(folder))


def _read_split(root: Path, folder: Path, ignored: list[Path]) -> RawSplit:
    files: list[Path] = []
    labels: list[str] = []
    for each in subfolders(folder):
        found = sorted(_walk(each))
        pictures = [file for file in found if file.suffix.lower() in SUFFIXES]
        ignored += [file for file in found if file.suffix.lower() not in SUFFIXES]
        files += pictures
        labels += [each.name] * len(pictures)
    if not files and ignored:
        fail_unknown(folder, ignored)
    if not files:
        raise DataError(
            f"{folder} holds no pictures in class folders",
            f"expected such as {folder.name}/CLASS/PICTURE.png ({', '.join(SUFFIXES)})",
        )
    items = [file.relative_to(root).as_posix() for file in files]
    return RawSplit(items=items, labels=labels, pictures=partial(_batches, files))


def _walk(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder, onerror=_fail):
        yield from (Path(place, name) for name in names if not _is_hidden(name))


def _fail(error: OSError) -> None:
    raise error


def _batches(files: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), BATCH_ITEMS):
        yield files[start : start + BATCH_ITEMS]
