"""An entry of the cache: a prepared set as arrays to be mapped, with the sums of all its files.

Nothing is parsed before its SHA-256, kept for each part of 64 MB, was compared. Up to a gigabyte is
compared whole each time. A larger entry is compared whole if any of its files has another time,
size or inode number than when it was written, as it has after any change that goes through the
system; else a gigabyte of it is, other parts each time, so that a disk that forgets is found out,
and opening takes a second however large the entry is.
"""

import hashlib
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from diptych.core import arrays
from diptych.core.files import CHUNK_BYTES, replace_directory
from diptych.core.progress import Reporter, Step, silent
from diptych.core.specs import InputSpec, Value
from diptych.core.values import DataRecord, Dataset, Goal, Split
from diptych.data.raw import SPLITS

FORMAT = 1
PART_BYTES = 64 << 20
COMPARED_BYTES = 1 << 30
WRITTEN_BYTES = 64 << 10  # the system maps as much at once as was written at once, for each item
MOST_INDEX_BYTES = 64 << 20
MOST_THREADS = 8
INDEX, DESCRIPTION = "index.json", "description.msgpack"
Read = tuple[Dataset, tuple[str, ...]]
"""A data set, and lines for people about its items before they were prepared."""


class DamagedError(ValueError):
    """An entry is not what was written."""


class Sums(Value):
    """A file's size, the SHA-256 of its parts, and when and where it was written."""

    size_bytes: int
    parts: tuple[str, ...]
    stamp: tuple[int, int, int]


class Index(Value):
    """The files of an entry by name."""

    format: int
    files: dict[str, Sums]


class Description(Value):
    """A data set without its splits, and the facts that belong to it."""

    goal: Goal
    spec: InputSpec
    labels: tuple[str, ...]
    record: DataRecord
    assets: dict[str, bytes]
    facts: tuple[str, ...]


def size_of(dataset: Dataset) -> int:
    """Say how much room an entry takes.

    Args:
        dataset: The data set.

    Returns:
        Bytes, a little more than it will be.
    """
    total = 1 << 16
    for split in _splits(dataset).values():
        named = sum(len(item) for item in split.items) + 16 * len(split)
        texts = sum(4 * len(str(each)) + 8 for each in split.originals or ())
        total += split.inputs.nbytes + split.targets.nbytes + 4 * named + texts
    return total + sum(map(len, dataset.assets.values()))


def write(place: Path, read: Read, report: Reporter = silent) -> None:
    """Write an entry, in place at once or not at all.

    Args:
        place: The folder to make or replace.
        read: What to keep; the set has no task of the user's own.
        report: Told how far it is.
    """
    dataset, facts = read
    description = Description(
        goal=dataset.goal,
        spec=dataset.spec,
        labels=dataset.labels,
        record=dataset.record,
        assets=dict(dataset.assets),
        facts=facts,
    )
    with replace_directory(place) as folder:
        _encode(folder / DESCRIPTION, description)
        for done, (name, split) in enumerate(_splits(dataset).items(), start=1):
            _write_array(folder / f"{name}.inputs.npy", split.inputs)
            _write_array(folder / f"{name}.targets.npy", split.targets)
            _encode(folder / f"{name}.items.msgpack", split.items)
            _encode(folder / f"{name}.originals.msgpack", split.originals)
            report(Step(stage="keep", done=done, total=len(SPLITS)))
        index = Index(format=FORMAT, files=_sums(sorted(folder.iterdir())))
        (folder / INDEX).write_bytes(msgspec.json.encode(index))


def open_entry(place: Path, *, compare: bool = True) -> Read | None:
    """Open an entry, its inputs as read-only maps.

    Args:
        place: Its folder.
        compare: Whether it may have changed since it was written.

    Returns:
        What was written; None where there is no entry.

    Raises:
        DamagedError: If any of it is not as it was written.
    """
    if not place.is_dir():
        return None
    try:
        if compare:
            _compare(place)
        told = msgspec.msgpack.decode((place / DESCRIPTION).read_bytes(), type=Description)
        train, validation, test = (_open_split(place, name) for name in SPLITS)
    except (OSError, ValueError) as error:
        raise DamagedError(f"{place}: {error}") from error
    dataset = Dataset(
        goal=told.goal,
        spec=told.spec,
        labels=told.labels,
        train=train,
        validation=validation,
        test=test,
        record=told.record,
        assets=told.assets,
    )
    return dataset, told.facts


def _splits(dataset: Dataset) -> dict[str, Split]:
    return {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}


def _encode(file: Path, value: object) -> None:
    file.write_bytes(msgspec.msgpack.encode(value))


def _write_array(file: Path, array: np.ndarray) -> None:
    descr = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": array.shape}
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in arrays.parts(array):
            content = np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
            for start in range(0, len(content), WRITTEN_BYTES):
                stream.write(content[start : start + WRITTEN_BYTES])


def _open_split(place: Path, name: str) -> Split:
    targets = np.load(place / f"{name}.targets.npy", allow_pickle=False)
    mode: Literal["r"] | None = "r" if len(targets) else None  # nothing cannot be mapped
    inputs = np.load(place / f"{name}.inputs.npy", mmap_mode=mode, allow_pickle=False)
    items = (place / f"{name}.items.msgpack").read_bytes()
    originals = (place / f"{name}.originals.msgpack").read_bytes()
    return Split(
        inputs=np.asarray(inputs),
        targets=targets,
        items=msgspec.msgpack.decode(items, type=tuple[str, ...]),
        originals=msgspec.msgpack.decode(originals, type=tuple[str, ...] | None),
    )


def _sums(files: Sequence[Path]) -> dict[str, Sums]:
    found = {}
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        for file in files:
            file.chmod(file.stat().st_mode & 0o444)  # none may write; who may read, the umask says
            size_bytes, stamp = _seen(file)
            starts = range(0, size_bytes, PART_BYTES)
            parts = tuple(pool.map(_part_sha256, [file] * len(starts), starts))
            found[file.name] = Sums(size_bytes=size_bytes, parts=parts, stamp=stamp)
    return found


def _compare(place: Path) -> None:
    """Compare an entry with its sums.

    Raises:
        ValueError: If they differ, or the index cannot be read.
    """
    with (place / INDEX).open("rb") as stream:
        index = msgspec.json.decode(stream.read(MOST_INDEX_BYTES), type=Index)
    if {file.name for file in place.iterdir()} != {INDEX, *index.files} or index.format != FORMAT:
        raise ValueError("other files")
    seen = {name: _seen(place / name) for name in index.files}
    if any(seen[name][0] != sums.size_bytes for name, sums in index.files.items()):
        raise ValueError("another size")
    known = all(seen[name][1] == sums.stamp for name, sums in index.files.items())
    parts = list(_parts(index))
    most = COMPARED_BYTES // PART_BYTES
    if known and len(parts) > most:
        parts = random.sample(parts, most)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        found = pool.map(lambda part: _part_sha256(place / part[0], part[1]), parts)
        for (name, start, expected), sha256 in zip(parts, found, strict=True):
            if sha256 != expected:
                raise ValueError(f"{name} differs at {start:,}")


def _parts(index: Index) -> Iterator[tuple[str, int, str]]:
    for name, sums in index.files.items():
        starts = range(0, sums.size_bytes, PART_BYTES)
        for start, expected in zip(starts, sums.parts, strict=True):
            yield name, start, expected


def _part_sha256(file: Path, start: int) -> str:
    digest, left = hashlib.sha256(), PART_BYTES
    with file.open("rb") as stream:
        stream.seek(start)
        while left and (content := stream.read(min(left, CHUNK_BYTES))):
            digest.update(content)
            left -= len(content)
    return digest.hexdigest()


def _seen(file: Path) -> tuple[int, tuple[int, int, int]]:
    status = file.stat(follow_symlinks=False)
    return status.st_size, (status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
