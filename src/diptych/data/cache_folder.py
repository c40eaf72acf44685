"""The folder of prepared sets: where it is, who works in it, and what has to make room.

``sets/KEY/`` are entries, put there in one step; ``sets/.KEY.*.tmp`` are under construction, or
were when their process ended; ``locks/`` are held while entries are made, and freed by the system
however the holder ends; ``known/SIGNATURE`` remembers what a source holds.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from diptych.core.errors import StorageError
from diptych.core.files import write_atomic
from diptych.core.text import parse_size, size

if sys.platform != "win32":
    import fcntl

USUAL_LIMIT = "20GB"
LEAST_SOURCE_BYTES = 5_000_000
MOST_KNOWN = 1_000
HEX_DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class CacheFolder:
    """Where prepared sets are kept, the most bytes of them, and the least a source must have."""

    folder: Path
    most_bytes: int
    least_source_bytes: int = LEAST_SOURCE_BYTES

    def entry(self, key: str) -> Path:
        """Say where an entry is.

        Args:
            key: Its name.

        Returns:
            Its folder, which may be absent.
        """
        return self.folder / "sets" / key

    def prepare(self) -> None:
        """Make the folder, for its owner only."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("sets", "locks", "known"):
            (self.folder / name).mkdir(exist_ok=True)

    @contextmanager
    def locked(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Keep others from making the same entry.

        Args:
            key: The entry's name; a few keys share a lock.
            waiting: Called once if another process holds it.

        Yields:
            Nothing.
        """
        with self._lock_file(key) as file:
            if not _try_lock(file):
                waiting()
                _lock(file)
            yield

    def touch(self, key: str) -> None:
        """Note that an entry is in use now.

        Args:
            key: Its name.
        """
        with suppress(OSError):
            os.utime(self.entry(key))

    def make_room(self, key: str, wanted_bytes: int) -> None:
        """Remove what was left unfinished and, if need be, entries, the longest unused first.

        Args:
            key: The entry that is to be made; its lock is held.
            wanted_bytes: Its size.

        Raises:
            StorageError: If it is larger than all that may be kept, or than what is free on disk.
        """
        if wanted_bytes > self.most_bytes:
            raise StorageError(
                f"it takes {size(wanted_bytes)}, and the limit is {size(self.most_bytes)}",
                "set DIPTYCH_CACHE_LIMIT to more",
            )
        self._sweep(key)
        kept = {place: _bytes_in(place) for place in self._entries()}
        for place in sorted(kept, key=_last_used):
            if sum(kept.values()) + wanted_bytes <= self.most_bytes:
                break
            del kept[place]
            _remove(place)
        free = shutil.disk_usage(self.folder).free
        if free < wanted_bytes:
            raise StorageError(f"it takes {size(wanted_bytes)}, and {size(free)} are free", "")

    def known(self, signature: str) -> str | None:
        """Recall what the files of a source hold.

        Args:
            signature: Of the files as they are now.

        Returns:
            The hash, or None where it is not known.
        """
        try:
            content = (self.folder / "known" / signature).read_bytes()[: HEX_DIGITS + 1]
        except OSError:
            return None
        is_hash = len(content) == HEX_DIGITS and not content.strip(b"0123456789abcdef")
        return content.decode() if is_hash else None

    def remember(self, signature: str, content: str) -> None:
        """Remember what the files of a source hold.

        Args:
            signature: Of the files as they are now.
            content: The hash.
        """
        place = self.folder / "known"
        for old in sorted(place.iterdir(), key=_last_used)[:-MOST_KNOWN]:
            old.unlink(missing_ok=True)
        write_atomic(place / signature, content.encode())

    def _lock_file(self, key: str) -> BinaryIO:
        return (self.folder / "locks" / key[:2]).open("ab")

    def _entries(self) -> list[Path]:
        return [each for each in (self.folder / "sets").iterdir() if not each.name.startswith(".")]

    def _sweep(self, key: str) -> None:
        for place in (self.folder / "sets").glob(".*.tmp"):
            other = place.name[1 : HEX_DIGITS + 1]
            with self._lock_file(other) as file:
                if other[:2] == key[:2] or _try_lock(file):
                    shutil.rmtree(place, ignore_errors=True)


def cache_folder(environment: Mapping[str, str]) -> CacheFolder | None:
    """Decide where prepared sets are kept.

    Args:
        environment: ``DIPTYCH_CACHE`` is the folder, or ``off``; by default it is ``diptych`` in
            ``XDG_CACHE_HOME`` or ``~/.cache``. ``DIPTYCH_CACHE_LIMIT`` is the most to keep.

    Returns:
        The folder, which may not exist yet; None where nothing is to be kept.

    Raises:
        ConfigError: If the limit is not a size.
    """
    named, home = environment.get("DIPTYCH_CACHE"), environment.get("XDG_CACHE_HOME", "")
    most_bytes = parse_size(environment.get("DIPTYCH_CACHE_LIMIT") or USUAL_LIMIT)
    if named == "off" or not most_bytes:
        return None
    try:
        usual = Path(home) if Path(home).is_absolute() else Path("~/.cache")
        folder = (Path(named) if named else usual / "diptych").expanduser()
    except RuntimeError:  # there is no home
        return None
    return CacheFolder(folder=folder, most_bytes=most_bytes)


def _try_lock(file: BinaryIO) -> bool:
    """Return whether the lock was free; where there are no locks, it is."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _lock(file: BinaryIO) -> None:
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX)


def _bytes_in(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            total += file.stat().st_size
    return total


def _last_used(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except OSError:
        return 0.0


def _remove(entry: Path) -> None:
    """Take an entry away in one step, then free its room; who reads it keeps it."""
    aside = entry.with_name(f".{entry.name}.evicted.tmp")
    with suppress(OSError):
        entry.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
