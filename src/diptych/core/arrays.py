"""Arrays that may be larger than memory: the large ones are maps of files without a name.

The system writes pages of such a map to disk when memory is short, and nothing is left behind
however the process ends. Pages that were touched count as the process's own until `release`.

Shapes: N items.
"""

import errno
import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from diptych.core.errors import StorageError
from diptych.core.text import size

MOST_IN_MEMORY_BYTES = 32 << 20
PART_BYTES = 8 << 20
ON_DISK = Path("/var/tmp")  # noqa: S108  where temporary files are not in memory, as /tmp may be
NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def empty(
    shape: Sequence[int],
    dtype: np.dtype | str,
    most_bytes: int = MOST_IN_MEMORY_BYTES,
    folder: Path | None = None,
) -> np.ndarray:
    """Make an array to be filled; a large one lies on disk, where there is room.

    Args:
        shape: Its shape.
        dtype: Its type.
        most_bytes: Above this size it is a map of a temporary file, whose room is reserved.
        folder: Where that file is; by default ``$TMPDIR`` if it is set, else ``/var/tmp``.

    Returns:
        The array; what it holds is not defined.

    Raises:
        StorageError: If there is room for it neither on disk nor in memory.
    """
    num_bytes = np.dtype(dtype).itemsize * math.prod(shape)
    if num_bytes > most_bytes:
        with suppress(OSError):
            return np.ndarray(shape, dtype, buffer=_map(num_bytes, folder or _temporary_folder()))
    try:
        return np.empty(shape, dtype)
    except MemoryError as error:
        raise StorageError(
            f"there is no room for {size(num_bytes)}, neither in memory nor in "
            f"{folder or _temporary_folder()}",
            "free some space, or set TMPDIR to a folder on a larger disk",
        ) from error


def take(
    inputs: np.ndarray, rows: np.ndarray, most_bytes: int = MOST_IN_MEMORY_BYTES
) -> np.ndarray:
    """Copy items part by part.

    Args:
        inputs: (N, ...).
        rows: (M,), their numbers, in any order.
        most_bytes: As for :func:`empty`.

    Returns:
        (M, ...).
    """
    taken = empty((len(rows), *inputs.shape[1:]), inputs.dtype, most_bytes)
    step = items_per_part(inputs)
    for start in range(0, len(rows), step):
        chosen = rows[start : start + step]
        taken[start : start + len(chosen)] = inputs[chosen]
        release(inputs)
        release(taken)
    return taken


def joined(pieces: Sequence[np.ndarray], most_bytes: int = MOST_IN_MEMORY_BYTES) -> np.ndarray:
    """Put arrays of items behind each other, part by part.

    Args:
        pieces: One or more (N, ...), of one type and of items of one shape.
        most_bytes: As for :func:`empty`.

    Returns:
        All items; where only one array holds any, this one itself.
    """
    filled = [piece for piece in pieces if len(piece)] or list(pieces[:1])
    if len(filled) == 1:
        return filled[0]
    count, first = sum(map(len, filled)), filled[0]
    whole = empty((count, *first.shape[1:]), first.dtype, most_bytes)
    start = 0
    for part in (part for piece in filled for part in parts(piece)):
        whole[start : start + len(part)] = part
        start += len(part)
        release(whole)
    return whole


def parts(inputs: np.ndarray) -> Iterator[np.ndarray]:
    """Go through an array of any size without holding it in memory.

    Args:
        inputs: (N, ...).

    Yields:
        Views of a few megabytes of items, in order.
    """
    step = items_per_part(inputs)
    for start in range(0, len(inputs), step):
        yield inputs[start : start + step]
        release(inputs)


def items_per_part(inputs: np.ndarray) -> int:
    """Say how many items make a part of a few megabytes.

    Args:
        inputs: (N, ...).

    Returns:
        At least 1.
    """
    return max(1, PART_BYTES // _item_bytes(inputs))


def sample(inputs: np.ndarray, most_bytes: int) -> np.ndarray:
    """Choose items at even distances, as many as fit, such as to learn a scaling from.

    Args:
        inputs: (N, ...).
        most_bytes: The most that the sample may take; it has one item at least, if there is one.

    Returns:
        `inputs` itself where it fits, else a copy of some items.
    """
    count = max(1, most_bytes // _item_bytes(inputs))
    if count >= len(inputs):
        return inputs
    return take(inputs, np.arange(count) * len(inputs) // count)


def release(array: np.ndarray) -> None:
    """Let go of the memory that a mapped array's pages take; its content stays as it is.

    They stay in the system's cache of files as long as there is room. Nothing happens to ordinary
    arrays, to private (copy-on-write) maps, and where the system has no such call.

    Args:
        array: Any array, or a view of one.
    """
    owner: object = array
    while isinstance(owner, np.ndarray):
        if isinstance(owner, np.memmap) and owner.mode == "c":
            return
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def _item_bytes(inputs: np.ndarray) -> int:
    return max(1, inputs.itemsize * math.prod(inputs.shape[1:]))


def _temporary_folder() -> Path:
    usable = not os.environ.get("TMPDIR") and ON_DISK.is_dir() and os.access(ON_DISK, os.W_OK)
    return ON_DISK if usable else Path(tempfile.gettempdir())


def _map(num_bytes: int, folder: Path) -> mmap.mmap:
    with tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file.fileno(), num_bytes)
        return mmap.mmap(file.fileno(), num_bytes)


def _reserve(descriptor: int, num_bytes: int) -> None:
    """Give a file its room on disk now: a map that finds none later would end the process."""
    try:
        os.posix_fallocate(descriptor, 0, num_bytes)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NOT_SUPPORTED:
            raise
        free = os.fstatvfs(descriptor)
        if free.f_bavail * free.f_frsize < 2 * num_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        os.ftruncate(descriptor, num_bytes)
