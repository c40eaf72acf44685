import errno
import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core import files
from diptych.core.errors import BundleError, StorageError
from diptych.core.files import (
    replace_directory,
    replace_file,
    safe_join,
    sha256_of_bytes,
    sha256_of_file,
    storage_error,
    write_atomic,
)

OLD, NEW = b"old" * 1000, b"new" * 7000

DIE_AT_EVERY_LINE = """
import json, os, signal, sys
from pathlib import Path
from diptych.core import files

def dies_at(line, work):
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] != 0
    left = line
    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename != files.__file__:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    work()
    os._exit(0)

def write_file(path, content):
    files.write_atomic(path / "file", content)

def write_directory(path, content):
    with files.replace_directory(path / "folder") as staging:
        (staging / "a").write_bytes(content)
        (staging / "b").mkdir()
        (staging / "b" / "c").write_bytes(content)

def state(path):
    names = [path / "file", path / "folder" / "a", path / "folder" / "b" / "c"]
    found = [name.read_bytes() for name in names if name.exists()]
    return [content[:3].decode() + str(len(content)) for content in found]

root, old, new = Path(sys.argv[1]), b"old" * 1000, b"new" * 7000
seen = []
for write in (write_file, write_directory):
    write(root, old)
    line = 0
    while dies_at(line, lambda: write(root, new)):
        seen.append((write.__name__, line, state(root)))
        write(root, old)
        line += 1
    seen.append((write.__name__, None, state(root)))
print(json.dumps(seen))
"""


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_a_file_and_its_bytes_have_the_same_hash(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "file").write_bytes(data)
    expected = hashlib.new("sha256", data).hexdigest()
    assert sha256_of_bytes(data) == expected
    assert sha256_of_file(tmp_path / "file") == expected


@settings(max_examples=20)
@given(data=st.binary(max_size=100))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("files")
    write_atomic(folder / "file", OLD)
    write_atomic(folder / "file", data)
    assert (folder / "file").read_bytes() == data
    assert names(folder) == ["file"]


@pytest.mark.slow
def test_killed_at_any_line_a_file_or_folder_is_the_old_or_the_new(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIE_AT_EVERY_LINE, str(tmp_path)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    seen = json.loads(run.stdout)
    old, new = f"old{len(OLD)}", f"new{len(NEW)}"
    for work, num_places in (("write_file", 1), ("write_directory", 2)):
        states = [state[-num_places:] for name, _, state in seen if name == work]
        assert len(states) > 10
        assert states[-1] == [new] * num_places
        assert all(state in ([old] * num_places, [new] * num_places) for state in states)
        assert [old] * num_places in states


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(OLD)
    with pytest.raises(StorageError, match="too large"), largest_file(5000):
        write_atomic(file, NEW)
    assert file.read_bytes() == OLD
    assert names(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_bytes(OLD)

    def fill() -> None:
        with replace_directory(folder) as staging:
            (staging / "small").write_bytes(b"")
            (staging / "large").write_bytes(NEW)

    with pytest.raises(StorageError, match="too large"), largest_file(5000):
        fill()
    assert names(tmp_path) == ["folder", "folder/old"]
    assert (folder / "old").read_bytes() == OLD


FILL_THE_DISK = """
import sys
from pathlib import Path
from diptych.core.errors import StorageError
from diptych.core.files import replace_directory, write_atomic

def write_directory(path, data):
    with replace_directory(path) as staging:
        (staging / "x").write_bytes(data)

root = Path(sys.argv[1])
for write in (write_atomic, write_directory):
    path = root / write.__name__
    write(path, b"old")
    try:
        write(path, bytes(1_000_000))
    except StorageError as error:
        print(error.message, "|", error.hint)
print([p.relative_to(root).as_posix() for p in sorted(root.rglob("*")) if p.is_file()])
"""


def test_on_a_full_disk_the_old_ones_stay_and_the_hint_says_so(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=256k none "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", str(tmp_path), sys.executable]
    if subprocess.run([*command, "pass"], check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    run = subprocess.run([*command, FILL_THE_DISK], check=True, capture_output=True, text=True)
    tail = "no space left on device | free some space, or choose another place"
    assert run.stdout.splitlines() == [
        f"cannot write {tmp_path}/write_atomic: {tail}",
        f"cannot write {tmp_path}/write_directory: {tail}",
        "['write_atomic', 'write_directory/x']",
    ]


def test_what_a_link_points_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "link").symlink_to("file")
    write_atomic(tmp_path / "link", NEW)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == NEW


def test_what_lies_where_a_file_is_made_is_neither_followed_nor_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(OLD)
    planted = f".file.{os.getpid()}.tmp"
    (tmp_path / planted).symlink_to("mine")
    write_atomic(tmp_path / "file", NEW)
    assert names(tmp_path) == sorted([planted, "file", "mine"])
    assert (tmp_path / "mine").read_bytes() == OLD
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == NEW


def test_a_file_that_is_written_twice_at_once_is_one_of_both(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with replace_file(file) as first, replace_file(file) as second:
        first.write(OLD)
        second.write(NEW)
    assert file.read_bytes() == OLD
    assert names(tmp_path) == ["file"]


def test_a_file_has_the_rights_that_are_usual_where_it_is_made(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomic(tmp_path / "pipe", NEW)
        assert os.read(reader, len(NEW)) == NEW
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_failure_of_the_work_itself_passes_and_leaves_no_debris(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", OLD)

    def write() -> None:
        with replace_file(tmp_path / "file") as file:
            file.write(NEW)
            raise ZeroDivisionError

    def fill() -> None:
        with replace_directory(tmp_path / "folder") as staging:
            (staging / "deep").mkdir()
            (staging / "deep" / "x").write_bytes(NEW)
            raise KeyboardInterrupt

    with pytest.raises(ZeroDivisionError):
        write()
    with pytest.raises(KeyboardInterrupt):
        fill()
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == OLD


def test_an_error_of_storage_in_the_work_keeps_its_own_words(tmp_path: Path) -> None:
    inner = StorageError("cannot read the camera", "plug it in")
    for context in (replace_file(tmp_path / "file"), replace_directory(tmp_path / "folder")):
        with pytest.raises(StorageError) as raised, context:
            raise inner
        assert raised.value is inner
    assert names(tmp_path) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with replace_directory(tmp_path / "deep" / "folder") as staging:
            assert staging.parent == tmp_path / "deep"
            (staging / name).write_text(name)
    assert names(tmp_path) == ["deep", "deep/folder", "deep/folder/second"]


def test_a_folder_has_the_rights_that_are_usual_where_it_is_made(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replace_directory(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_a_folder_is_replaced_where_two_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    test_a_folder_is_replaced_as_a_whole(tmp_path)


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with replace_directory(tmp_path / "link") as staging:
        (staging / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path) == ["link", "real", "real/new"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(StorageError, match="not a directory"), replace_directory(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_bytes() == OLD
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["absent/file", "taken/file", "n" * 300])
def test_a_place_that_cannot_be_written_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(StorageError) as raised:
        write_atomic(tmp_path / name, NEW)
    assert raised.value.message.startswith(f"cannot write {tmp_path / name}: ")
    assert names(tmp_path) == ["taken"]


@pytest.mark.parametrize("name", ["taken/folder", "n" * 300])
def test_a_place_that_can_hold_no_folder_is_named_too(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(StorageError, match="cannot write"), replace_directory(tmp_path / name):
        pytest.fail("must not be reached")
    assert names(tmp_path) == ["taken"]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "another place"),
        (errno.EROFS, "another place"),
        (errno.EIO, ""),
    ],
)
def test_an_error_of_the_system_gets_its_hint(code: int, hint: str) -> None:
    error = storage_error(Path("x.dip"), OSError(code, os.strerror(code)))
    assert error.message == f"cannot write x.dip: {os.strerror(code).lower()}"
    assert hint in error.hint
    assert bool(hint) == bool(error.hint)


SAFE = st.text(st.characters(codec="utf-8", exclude_characters="/\\:\0"), min_size=1, max_size=9)


@given(st.lists(SAFE.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=4))
def test_a_harmless_path_is_joined_as_it_is(parts: list[str]) -> None:
    folder = Path("/no/such/folder")
    assert safe_join(folder, "/".join(parts)) == folder.joinpath(*parts)


@given(st.text("ab./\\:\0~", max_size=8))
def test_any_path_stays_in_its_folder_or_is_refused(relative: str) -> None:
    folder = Path("/no/such/folder")
    with suppress(BundleError):
        assert os.path.normpath(safe_join(folder, relative)).startswith(f"{folder}/")


@pytest.mark.parametrize(
    "relative",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "//host/share",
        "../x",
        "a/../../x",
        "a/..",
        "..\\x",
        "a\\b",
        "C:/x",
        "C:x",
        "file:x",
        "a\0.png",
        "a/" + "n" * 300,
    ],
)
def test_a_path_that_leaves_its_folder_or_is_absurd_is_refused(
    tmp_path: Path, relative: str
) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(BundleError):
        safe_join(tmp_path, relative)


@pytest.mark.parametrize("target", ["/etc", "..", "real", "absent"])
def test_a_link_anywhere_in_a_path_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "link").symlink_to(target)
    (tmp_path / "link").symlink_to(target)
    for relative in ("link", "link/x", "real/link", "real/link/deep/x"):
        with pytest.raises(BundleError, match="symbolic link"):
            safe_join(tmp_path, relative)
