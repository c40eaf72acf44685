"""Class folders: each folder's name is a class; train, validation and test may lie above them."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from diptych.core.errors import DataError
from diptych.data.kinds import fail_unknown
from diptych.data.raw import SPLIT_NAMES, Kind, RawData, RawSplit, named_splits
from diptych.tasks import audio, image

BATCH_ITEMS = 256
NOUNS: dict[Kind, str] = {"image": "pictures", "audio": "sounds"}
SUFFIXES: dict[Kind, tuple[str, ...]] = {"image": image.SUFFIXES, "audio": audio.SUFFIXES}

Tree = dict[str, list[Path]]


def read_folders(root: Path, target: str | None = None) -> RawData:
    """Read a tree of class folders.

    Args:
        root: It holds class folders, or ``train/`` (``validation/``, ``test/``) above such.
        target: Not used: the folder is the label.

    Returns:
        Its splits, pictures or sounds sorted by path.

    Raises:
        DataError: If it holds no pictures or sounds in class folders, or both, or two folders are
            one split.
    """
    splits, strays = split_folders(root)
    trees = {split: _tree(folder) for split, folder in splits.items()}
    kind = _kind(root, trees)
    raw = {split: _raw_split(root, splits[split], tree, kind) for split, tree in trees.items()}
    doubts = [warning for tree in trees.values() for warning in _doubts(tree, kind)]
    warnings = (*strays, *doubts)
    return RawData(name=root.resolve().name, kind=kind, splits=raw, warnings=warnings)


def split_folders(root: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Find the splits of a tree of class folders.

    Args:
        root: An existing folder.

    Returns:
        The folder of each split, which is `root` where none is that of ``train``; and a warning of
        each folder beside them.
    """
    folders = {each.name: each for each in subfolders(root)}
    names = [name for name, folder in folders.items() if _is_split(folder)]
    if not any(SPLIT_NAMES[name.lower()] == "train" for name in names):
        return {"train": root}, ()
    splits = named_splits(root, names)
    strays = [name for name in folders if name not in names]
    told = tuple(f"folder {name!r} is no split of class folders: passed over" for name in strays)
    return {split: folders[name] for split, name in splits.items()}, told


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


def _tree(folder: Path) -> Tree:
    return {each.name: sorted(walk(each)) for each in subfolders(folder)}


def _kind(root: Path, trees: dict[str, Tree]) -> Kind:
    """Tell from the suffixes what the items are; pictures where there are none."""
    files = [file for tree in trees.values() for each in tree.values() for file in each]
    counts = {kind: sum(_is(kind, file) for file in files) for kind in SUFFIXES}
    found = [kind for kind, count in counts.items() if count]
    if len(found) > 1:
        seen = " and ".join(f"{counts[kind]:,} {NOUNS[kind]}" for kind in found)
        raise DataError(
            f"{root} holds {seen} in its class folders", "a data set is of one kind: part them"
        )
    return found[0] if found else "image"


def _is(kind: Kind, file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES[kind]


def _raw_split(root: Path, folder: Path, tree: Tree, kind: Kind) -> RawSplit:
    pairs = [(file, label) for label in tree for file in tree[label] if _is(kind, file)]
    if not pairs and any(tree.values()):
        fail_unknown(folder, [file for files in tree.values() for file in files])
    if not pairs:
        raise DataError(
            f"{folder} holds no pictures or sounds in class folders",
            f"expected such as {folder.name}/CLASS/PICTURE.png or {folder.name}/CLASS/SOUND.wav",
        )
    files = [file for file, _ in pairs]
    items = [file.relative_to(root).as_posix() for file in files]
    return RawSplit(
        items=items, labels=[label for _, label in pairs], contents=partial(batches, files)
    )


def _doubts(tree: Tree, kind: Kind) -> Iterator[str]:
    noun = NOUNS[kind]
    for label, files in tree.items():
        if not any(_is(kind, file) for file in files):
            yield f"folder {label!r} holds no {noun} and is no class"
    others = [file for files in tree.values() for file in files if not _is(kind, file)]
    if others:
        suffixes = sorted({file.suffix.lower() or "no suffix" for file in others})
        yield f"files passed over that are not {noun}: {len(others)} ({', '.join(suffixes[:5])})"


def walk(folder: Path) -> Iterator[Path]:
    """Find the files in a folder and the folders below it.

    Args:
        folder: An existing folder.

    Yields:
        Their paths, in no order, without hidden ones and those in hidden folders.
    """
    for place, folders, names in os.walk(folder, onerror=_fail):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        yield from (Path(place, name) for name in names if not _is_hidden(name))


def _fail(error: OSError) -> None:
    raise error


def batches(files: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Go through files, some at a time.

    Args:
        files: All of them.

    Yields:
        At most `BATCH_ITEMS`, in order.
    """
    for start in range(0, len(files), BATCH_ITEMS):
        yield files[start : start + BATCH_ITEMS]
