"""The cache of prepared sets: what took minutes to decode is mapped into memory the next time.

An entry is named by the content of the source's files, the options and the code that decodes, so
that it cannot be out of date. It is made once, even if several processes ask for it at the same
time; one that is damaged is made again; and where the cache cannot be used, data is read without.
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from diptych.core.errors import StorageError
from diptych.core.progress import Reporter, Step, silent
from diptych.data import cache_entry
from diptych.data.cache_entry import DamagedError, Read
from diptych.data.cache_folder import CacheFolder
from diptych.data.origin import Origin, content_sha256, key_of, look_at
from diptych.data.reading import Options

WAITING = "waiting for another run that prepares the same data"


def read_cached(
    kind: str,
    path: Path,
    options: Options,
    report: Reporter,
    make: Callable[[], Read],
    folder: CacheFolder,
) -> Read:
    """Open a data set as it was prepared before, or prepare and keep it.

    Args:
        kind: What the source is.
        path: Where it is.
        options: How it is read.
        report: Told what comes from the cache, and why something does not.
        make: Reads the source.
        folder: The cache.

    Returns:
        What `make` gives, or gave when it was called for the same content and options.
    """
    try:
        origin = look_at(kind, path)
        if origin.size_bytes < folder.least_source_bytes:
            return make()
        key = key_of(_content(origin, folder, report), options)
    except OSError:  # the reader will say it better
        return make()
    found = _open(folder, key, options, report)
    if found is not None:
        _tell(report, "prepared before")
        return found
    with ExitStack() as stack:
        try:
            folder.prepare()
            stack.enter_context(folder.locked(key, lambda: _tell(report, WAITING)))
        except OSError as error:
            _tell(report, f"not used: {error}")
            return make()
        found = _open(folder, key, options, silent)
        if found is not None:
            _tell(report, "prepared by another run")
            return found
        made = make()
        kept = _keep(folder, key, made, report) if _is_same(origin, path) else None
    return kept or made


def _content(origin: Origin, folder: CacheFolder, report: Reporter) -> str:
    if known := folder.known(origin.signature):
        return known
    content = content_sha256(origin, report)
    if origin.settled:
        with suppress(OSError):
            folder.prepare()
            folder.remember(origin.signature, content)
    return content


def _open(folder: CacheFolder, key: str, options: Options, report: Reporter) -> Read | None:
    try:
        found = cache_entry.open_entry(folder.entry(key))
    except DamagedError as error:
        _tell(report, f"damaged, made again: {error}")
        return None
    if found is None or (found[0].record.skipped and not options.skip_unreadable):
        return None
    folder.touch(key)
    return found


def _is_same(origin: Origin, path: Path) -> bool:
    """Say whether a source is as it was before it was read."""
    try:
        return look_at(origin.kind, path).signature == origin.signature
    except OSError:
        return False


def _keep(folder: CacheFolder, key: str, made: Read, report: Reporter) -> Read | None:
    try:
        folder.make_room(key, cache_entry.size_of(made[0]))
        cache_entry.write(folder.entry(key), made, report)
        return cache_entry.open_entry(folder.entry(key), compare=False)
    except (OSError, DamagedError) as error:
        hint = error.hint if isinstance(error, StorageError) else ""
        _tell(report, f"not kept: {error}" + (f" ({hint})" if hint else ""))
        return None


def _tell(report: Reporter, note: str) -> None:
    report(Step(stage="cache", done=1, total=1, note=note))
