"""Files that are whole or absent: atomic writes, hashes, and paths that stay in their folder."""

import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from diptych.core.errors import BundleError, StorageError

CHUNK_BYTES = 1 << 20
RELATIVE_TO_WORKING_FOLDER = -100
RENAME_EXCHANGE = 2
HINTS = {
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some space, or choose another place",
    errno.EACCES: "choose another place",
    errno.EPERM: "choose another place",
    errno.EROFS: "choose another place",
    errno.ENOENT: "make the folder first",
    errno.ENAMETOOLONG: "choose a shorter name",
}
LONGEST_ASIDE = 50
"""Characters of a name that are told in that of what is written aside: no more than 200 bytes."""


def sha256_of_bytes(data: bytes) -> str:
    """Hash bytes.

    Args:
        data: Any bytes.

    Returns:
        The SHA-256 as 64 lower-case hexadecimal digits.
    """
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hash a file without holding it in memory.

    Args:
        path: An existing file.

    Returns:
        The SHA-256 as 64 lower-case hexadecimal digits.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part.

    Args:
        path: Where to write; its folder exists.
        data: The whole content.

    Raises:
        StorageError: If the file cannot be written (permission, full disk).
    """
    with replace_file(path) as file:
        file.write(data)


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file piece by piece aside and put it in place at the end; on a failure not at all.

    Args:
        path: The file to create or replace; its folder exists. Of a link, what it points to; a
            device or a pipe is written to as it is.

    Yields:
        An open binary file.

    Raises:
        StorageError: If the file cannot be written (permission, full disk).
    """  # noqa: DOC501  storage_error makes it
    place = path.resolve()
    temporary = _aside(place)
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def replace_directory(path: Path) -> Iterator[Path]:
    """Build a directory aside and put it in place in one step; on any failure the old one stays.

    Where the system cannot exchange two directories (it can on Linux), replacing takes two steps.

    Args:
        path: The directory to create or replace; of a link, what it points to.

    Yields:
        An empty directory beside it, to be filled.

    Raises:
        StorageError: If the directory cannot be written.
    """  # noqa: DOC501  storage_error makes it
    path = path.resolve()
    try:
        check_name(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = _aside(path)
        staging.mkdir()
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        yield staging
        for file in staging.rglob("*"):
            _sync(file)
        _put_in_place(staging, path)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def safe_join(folder: Path, relative: str) -> Path:
    """Join a path that came from a file to its folder.

    Args:
        folder: The folder that must not be left.
        relative: A relative POSIX path.

    Returns:
        The joined path.

    Raises:
        BundleError: If the path is absolute, has ``..``, a backslash, a drive or a NUL, or is a
            link or passes through one.
    """
    parts = PurePosixPath(relative).parts
    clean = relative and "\\" not in relative and "\0" not in relative and ":" not in relative
    if not clean or relative.startswith("/") or ".." in parts or not parts:
        raise BundleError(f"the path {relative!r} leaves its folder", "do not use this bundle")
    joined = folder
    for part in parts:
        joined = joined / part
        if _is_link(joined):
            raise BundleError(f"{relative!r} is a symbolic link", "do not use this bundle")
    return joined


def check_name(path: Path) -> None:
    """Check that the system takes this for a path, whether or not something is there.

    Args:
        path: Any path.

    Raises:
        OSError: If it does not, such as for a name that is too long.
    """
    with suppress(FileNotFoundError):
        path.lstat()


def storage_error(path: Path, error: OSError) -> StorageError:
    """Say an operating system's error as one line with a hint.

    Args:
        path: The file or folder that was meant.
        error: The error seen.

    Returns:
        The error to raise.
    """
    reason = (error.strerror or str(error)).lower()
    return StorageError(f"cannot write {path}: {reason}", HINTS.get(error.errno or 0, ""))


def _aside(path: Path) -> Path:
    """Name what will take a path's place; the root has no name."""
    return path.parent / f".{path.name[:LONGEST_ASIDE]}.{os.urandom(4).hex()}.tmp"


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError as error:
        raise BundleError(
            f"{path.name[:40]!r}... is no name of a file", "do not use this bundle"
        ) from error


def _sync(path: Path) -> None:
    """Have a file on the disk; Windows can do so only where it may be written."""
    is_windows = os.name == "nt"
    if path.is_file() and (not is_windows or os.access(path, os.W_OK)):
        descriptor = os.open(path, os.O_RDWR if is_windows else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put_in_place(staging: Path, path: Path) -> None:
    """Rename the new directory; an old one ends up in `staging`."""
    if not path.is_dir():
        staging.rename(path)
    elif not _exchange(staging, path):
        aside = staging.with_suffix(".old")
        path.rename(aside)
        try:
            staging.rename(path)
        except BaseException:
            aside.rename(path)
            raise
        aside.rename(staging)


def _exchange(first: Path, second: Path) -> bool:
    """Return whether two paths could be swapped in one step."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    here = RELATIVE_TO_WORKING_FOLDER
    status = rename(here, os.fsencode(first), here, os.fsencode(second), RENAME_EXCHANGE)
    return bool(status == 0)
