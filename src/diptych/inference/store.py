"""Bundles on disk: written whole or not at all; read only after every hash has been checked."""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from diptych.core.errors import BundleError, StorageError
from diptych.core.files import (
    check_name,
    replace_directory,
    safe_join,
    sha256_of_bytes,
    sha256_of_file,
    storage_error,
)
from diptych.core.manifest import Manifest
from diptych.core.values import FileRecord
from diptych.inference.manifest import (
    DAMAGED,
    FILE_NAME,
    MAX_BYTES,
    check_version,
    encode,
    listed_files,
    parse,
)

MAX_FILES = 256
MAX_TOTAL_BYTES = 2 << 30


def record(path: str, data: bytes) -> FileRecord:
    """Make the record of a file that goes into a bundle.

    Args:
        path: POSIX path inside the bundle.
        data: The content.

    Returns:
        The path with the content's hash and size.
    """
    return FileRecord(path=path, sha256=sha256_of_bytes(data), size_bytes=len(data))


def is_bundle(path: Path) -> bool:
    """Say whether a path is meant to be a bundle; whether it is whole is not looked at.

    Args:
        path: Any path.

    Returns:
        True for a folder with a manifest.
    """
    return (path / FILE_NAME).is_file()


def read_assets(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Read the files that preparation needs beside the input's spec.

    Args:
        folder: The bundle.
        manifest: What is in it.

    Returns:
        Their content by name.
    """
    return {name: safe_join(folder, name).read_bytes() for name in manifest.assets}


def check_destination(path: Path) -> None:
    """Check that a bundle may be written here: nothing is there, or an empty folder, or a bundle.

    Args:
        path: The bundle's directory.

    Raises:
        StorageError: If something else is there.
    """  # noqa: DOC501  storage_error makes one
    try:
        if not path.exists() and not path.is_symlink():
            check_writable(path)
            return
        if not path.is_dir():
            raise StorageError(f"{path} is a file, not a bundle", "choose another --out")
        if not any(path.iterdir()):
            return
        check_version(_read_manifest_bytes(path))
    except BundleError as error:
        raise StorageError(
            f"{path} is a folder that is not a bundle, so it is not replaced",
            "choose another --out",
        ) from error
    except OSError as error:
        raise storage_error(path, error) from error


def check_writable(path: Path) -> None:
    """Check that a folder can be made beside a path, by making one and removing it.

    Args:
        path: Where something will be written; missing folders above it are made then, not now.

    Raises:
        StorageError: If nothing can be written there.
    """  # noqa: DOC501  storage_error makes one
    above = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        check_name(path)
        tempfile.TemporaryDirectory(prefix=".", dir=above).cleanup()
    except OSError as error:
        raise storage_error(path, error) from error


def write(path: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Write a bundle; an earlier bundle at the place is replaced, or stays whole on any failure.

    Args:
        path: The bundle's directory.
        manifest: What ``bundle.json`` will hold.
        contents: Every file by its path in the bundle; the manifest need not list all of them.

    Raises:
        BundleError: If a listed file is missing or is not what the manifest says, or the
            manifest would be refused when read.
        StorageError: If the directory cannot be written, or holds something else than a bundle.
    """
    check_destination(path)
    for name, expected in listed_files(manifest).items():
        if name not in contents or record(name, contents[name]) != expected:
            raise BundleError(f"{name!r} is not what the manifest says")
    text = encode(manifest)
    with replace_directory(path) as staging:
        for name, data in {**contents, FILE_NAME: text}.items():
            target = safe_join(staging, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def read(path: Path) -> tuple[Manifest, Path]:
    """Read a bundle's manifest and check every file it lists; nothing else is opened.

    Args:
        path: The bundle's directory.

    Returns:
        The manifest and the folder that its paths are relative to.

    Raises:
        BundleError: If there is no bundle, or it is damaged, hostile or of another version.
    """
    if not path.is_dir():
        seen = "is not a folder" if path.exists() else "does not exist"
        raise BundleError(f"{path} {seen}", "give the folder of a bundle")
    folder = path.resolve()
    manifest = parse(_read_manifest_bytes(folder))
    records = listed_files(manifest)
    total = sum(item.size_bytes for item in records.values())
    if len(records) > MAX_FILES or total > MAX_TOTAL_BYTES:
        raise BundleError(f"the bundle lists {len(records)} files of {total} bytes: too much")
    found = {name: _regular_file(folder, name) for name in records}
    for name, item in records.items():
        if found[name].stat().st_size != item.size_bytes:
            raise BundleError(f"{name!r} is not of the size that {FILE_NAME} says", DAMAGED)
    for name, item in records.items():
        if sha256_of_file(found[name]) != item.sha256:
            raise BundleError(f"{name!r} was changed: its hash differs", DAMAGED)
    return manifest, folder


def _read_manifest_bytes(folder: Path) -> bytes:
    file = _regular_file(folder, FILE_NAME)
    if file.stat().st_size > MAX_BYTES:
        raise BundleError(f"{FILE_NAME} is larger than {MAX_BYTES} bytes", DAMAGED)
    return file.read_bytes()


def _regular_file(folder: Path, name: str) -> Path:
    try:
        file = safe_join(folder, name)
        status = file.lstat()
    except BundleError:
        raise
    except (OSError, ValueError) as error:
        raise BundleError(f"the bundle {folder} has no {name!r}", DAMAGED) from error
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{name!r} is not a regular file", DAMAGED)
    if status.st_nlink > 1:
        raise BundleError(f"{name!r} is a hard link", "copy the bundle with: cp -r")
    if not os.access(file, os.R_OK):
        raise BundleError(f"{name!r} may not be read", f"chmod +r {file}")
    return file
