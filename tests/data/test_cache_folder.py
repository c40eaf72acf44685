import os
import subprocess
import sys
from pathlib import Path

import pytest

from diptych.core.errors import ConfigError, StorageError
from diptych.data.cache_folder import CacheFolder, cache_folder

KEYS = ("a" * 64, "b" * 64, "c" * 64)
HOLDER = """
import sys
from pathlib import Path
from diptych.data.cache_folder import CacheFolder
folder = CacheFolder(folder=Path(sys.argv[1]), most_bytes=0)
with folder.locked(sys.argv[2], lambda: None):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    made = CacheFolder(folder=tmp_path / "cache", most_bytes=1000)
    made.prepare()
    return made


def fill(folder: CacheFolder, key: str, num_bytes: int, used: int) -> Path:
    place = folder.entry(key)
    place.mkdir()
    (place / "x").write_bytes(b"x" * num_bytes)
    os.utime(place, (used, used))
    return place


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DIPTYCH_CACHE": "/x"}, ("/x", 20_000_000_000)),
        ({"DIPTYCH_CACHE": "/x", "DIPTYCH_CACHE_LIMIT": "1MB"}, ("/x", 1_000_000)),
        ({"XDG_CACHE_HOME": "/c"}, ("/c/diptych", 20_000_000_000)),
        ({"XDG_CACHE_HOME": "/c", "DIPTYCH_CACHE": "/x"}, ("/x", 20_000_000_000)),
        ({"XDG_CACHE_HOME": "c"}, (str(Path.home() / ".cache/diptych"), 20_000_000_000)),
        ({}, (str(Path.home() / ".cache/diptych"), 20_000_000_000)),
    ],
)
def test_the_environment_says_where_and_how_much(
    environment: dict[str, str], expected: tuple[str, int]
) -> None:
    found = cache_folder(environment)
    assert found is not None
    assert (str(found.folder), found.most_bytes) == expected


@pytest.mark.parametrize("environment", [{"DIPTYCH_CACHE": "off"}, {"DIPTYCH_CACHE_LIMIT": "0"}])
def test_the_environment_turns_it_off(environment: dict[str, str]) -> None:
    assert cache_folder(environment) is None


def test_a_limit_that_is_no_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="'much' is not a size"):
        cache_folder({"DIPTYCH_CACHE_LIMIT": "much"})


def test_only_the_owner_may_look_into_it(folder: CacheFolder) -> None:
    assert folder.folder.stat().st_mode & 0o777 == 0o700


def test_the_longest_unused_entries_make_room(folder: CacheFolder) -> None:
    places = [fill(folder, key, 400, used) for key, used in zip(KEYS[:2], (2, 1), strict=True)]
    folder.make_room(KEYS[2], 200)
    assert [place.exists() for place in places] == [True, True]
    folder.make_room(KEYS[2], 500)
    assert [place.exists() for place in places] == [True, False]
    os.utime(fill(folder, KEYS[1], 400, 1))
    folder.touch(KEYS[0])
    os.utime(folder.entry(KEYS[1]), (5, 5))
    folder.make_room(KEYS[2], 500)
    assert [folder.entry(key).exists() for key in KEYS] == [True, False, False]
    assert [each.name for each in (folder.folder / "sets").iterdir()] == [KEYS[0]]


def test_what_is_larger_than_the_limit_removes_nothing(folder: CacheFolder) -> None:
    place = fill(folder, KEYS[0], 900, 1)
    with pytest.raises(StorageError, match="it takes 1 KB, and the limit is 1 KB"):
        folder.make_room(KEYS[1], 1001)
    assert place.exists()


def test_what_does_not_fit_on_disk_is_refused(folder: CacheFolder) -> None:
    large = CacheFolder(folder=folder.folder, most_bytes=1 << 62)
    with pytest.raises(StorageError, match=r"it takes .* are free"):
        large.make_room(KEYS[0], 1 << 61)


@pytest.mark.slow
def test_a_lock_is_waited_for_and_what_its_holder_makes_stays(folder: CacheFolder) -> None:
    held, free = (folder.folder / "sets" / f".{key}.x.tmp" for key in KEYS[:2])
    held.mkdir()
    free.mkdir()
    waited: list[str] = []
    command = [sys.executable, "-c", HOLDER, str(folder.folder), KEYS[0]]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        folder.make_room(KEYS[2], 1)
        assert (held.exists(), free.exists()) == (True, False)
        with folder.locked(KEYS[1], lambda: waited.append("free")):
            pass
        with folder.locked(KEYS[0], lambda: (waited.append("held"), holder.kill())):
            assert waited == ["held"]
            folder.make_room(KEYS[0], 1)
        assert not held.exists()


def test_only_a_hash_is_recalled(folder: CacheFolder) -> None:
    assert folder.known("s") is None
    folder.remember("s", "f" * 64)
    assert folder.known("s") == "f" * 64
    for content in (b"", b"f" * 63, b"g" * 64, b"f" * 65, b"\xff" * 64):
        (folder.folder / "known" / "s").write_bytes(content)
        assert folder.known("s") is None
