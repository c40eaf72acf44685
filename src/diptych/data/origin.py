"""Origins: which files a source is made of, what they hold, and what will be made of them.

Hashing gigabytes takes seconds, so the hash of files that were seen before may be remembered under
their paths, sizes, times and inode numbers; they are all looked at again each time. Files changed
in the last two seconds are not remembered: a further change could leave their times the same.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from stat import S_ISDIR

import msgspec

from diptych.core.files import sha256_of_bytes, sha256_of_file
from diptych.core.progress import Reporter, Step
from diptych.data.folders import subfolders
from diptych.data.idx import idx_files
from diptych.data.parquet import parquet_files
from diptych.data.reading import Options
from diptych.data.table_files import table_files

SETTLED_NS = 2_000_000_000
MOST_THREADS = 8
BATCH_FILES = 1_000
PACKAGE = Path(__file__).parents[1]
DECODING_PARTS = ("core", "tasks", "data")
DECODING_LIBRARIES = ("pillow", "pyarrow", "soundfile", "tokenizers", "numpy")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A source's files and folders as their names, sizes and times are; `root` holds them.

    `signature` changes when any of these does; `settled` says that it then always will.
    """

    kind: str
    name: str
    root: Path
    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    size_bytes: int
    signature: str
    settled: bool


def look_at(kind: str, path: Path, now_ns: Callable[[], int] = time.time_ns) -> Origin:
    """Find the files of a source, without opening them.

    Args:
        kind: As :func:`diptych.data.sources.recognize` tells it; one of ``FILES``.
        path: The file or folder.
        now_ns: Gives nanoseconds of the same clock as files have.

    Returns:
        What is there.
    """
    now = now_ns()
    path = path.resolve()
    found = [path] if path.is_file() else sorted(FILES[kind](path))
    digest, size_bytes, latest = hashlib.sha256(kind.encode()), 0, 0
    parts: dict[bool, list[Path]] = {False: [], True: []}
    for each in found:
        status = each.stat()
        is_folder = S_ISDIR(status.st_mode)
        parts[is_folder].append(each)
        seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        digest.update(f"{each}\0{is_folder or seen}\0".encode(errors="surrogateescape"))
        if not is_folder:
            size_bytes += status.st_size
            latest = max(latest, status.st_mtime_ns, status.st_ctime_ns)
    return Origin(
        kind=kind,
        name=path.stem if path.is_file() else path.name,
        root=path.parent if path.is_file() else path,
        files=tuple(parts[False]),
        folders=tuple(parts[True]),
        size_bytes=size_bytes,
        signature=digest.hexdigest(),
        settled=latest + SETTLED_NS < now,
    )


def content_sha256(origin: Origin, report: Reporter) -> str:
    """Hash what the files hold, in a few threads.

    Args:
        origin: The source.
        report: Told how far it is.

    Returns:
        64 hexadecimal digits; they depend on relative names and content, not on place and times.
    """
    digest = hashlib.sha256(f"{origin.kind}\0{origin.name}\0".encode(errors="surrogateescape"))
    for folder in origin.folders:
        digest.update(_named(origin, folder))
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        for start in range(0, len(origin.files), BATCH_FILES):
            batch = origin.files[start : start + BATCH_FILES]
            for file, content in zip(batch, pool.map(sha256_of_file, batch), strict=True):
                digest.update(_named(origin, file) + content.encode())
            done = start + len(batch)
            report(Step(stage="look for changes", done=done, total=len(origin.files)))
    return digest.hexdigest()


def key_of(content: str, options: Options) -> str:
    """Name what is made of a source by everything that it depends on.

    Args:
        content: What the source holds, as :func:`content_sha256` tells it.
        options: How it is read; whether items may be left out makes no difference to those kept.

    Returns:
        64 hexadecimal digits.
    """
    wanted = {name: getattr(options, name) for name in sorted(_fields(options))}
    wanted["assets"] = sorted(
        (name, sha256_of_bytes(each)) for name, each in options.assets.items()
    )
    return sha256_of_bytes(msgspec.json.encode([content, wanted, _code()]))


def _fields(options: Options) -> set[str]:
    return set(options.__dataclass_fields__) - {"skip_unreadable", "task", "cache"}


@cache
def _code() -> list[str]:
    """Name the code that decodes: an installation that is worked on changes without a version."""
    digest = hashlib.sha256()
    for part in DECODING_PARTS:
        for file in sorted((PACKAGE / part).rglob("*.py")):
            digest.update(file.read_bytes())
    return [digest.hexdigest(), *map(_version, DECODING_LIBRARIES)]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _named(origin: Origin, path: Path) -> bytes:
    return f"{path.relative_to(origin.root).as_posix()}\0".encode(errors="surrogateescape")


def _below(root: Path) -> Iterator[Path]:
    """Go through all that lies in the folders of a folder, and these themselves."""
    for folder in subfolders(root):
        for place, _, names in os.walk(folder, onerror=_fail):
            yield Path(place)
            yield from (Path(place, name) for name in names)


def _fail(error: OSError) -> None:
    raise error


FILES: dict[str, Callable[[Path], Iterable[Path]]] = {
    "folders": _below,
    "idx": lambda folder: idx_files(folder).values(),
    "parquet": parquet_files,
    "table": table_files,
}
