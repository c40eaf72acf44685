"""Bundles on disk: whole or absent, and what is not a bundle is left alone."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from diptych.core.errors import BundleError, StorageError
from diptych.inference import store


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_is_written_is_read_back(tiny, tiny_bundle):
    manifest, folder = store.read(tiny_bundle)
    assert manifest == tiny.manifest
    assert folder == tiny_bundle.resolve()
    assert snapshot(tiny_bundle).items() >= tiny.contents.items()


def test_a_bundle_replaces_an_earlier_one_completely_and_leaves_nothing_beside(tiny, tiny_bundle):
    renamed = structs.replace(tiny.manifest, name="second")
    contents = {**tiny.contents, "extra/notes.md": b"hello"}
    store.write(tiny_bundle, tiny.manifest, contents)
    store.write(tiny_bundle, renamed, tiny.contents)
    assert store.read(tiny_bundle)[0].name == "second"
    assert set(snapshot(tiny_bundle)) == {*tiny.contents, "bundle.json"}
    assert list(tiny_bundle.parent.iterdir()) == [tiny_bundle]


def test_an_empty_folder_and_missing_parents_are_fine(tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b" / "c.dip"):
        store.write(folder, tiny.manifest, tiny.contents)
        assert store.read(folder)[0] == tiny.manifest


@pytest.mark.parametrize("holds", ["notes.txt", "bundle.json", "deep/bundle.json"])
def test_a_folder_that_is_no_bundle_is_not_replaced(tiny, tmp_path, holds):
    mine = tmp_path / "mine"
    (mine / holds).parent.mkdir(parents=True)
    (mine / holds).write_text('{"my": "work"}')
    before = snapshot(mine)
    for attempt in (
        lambda: store.check_destination(mine),
        lambda: store.write(mine, tiny.manifest, tiny.contents),
    ):
        with pytest.raises(StorageError, match="not a bundle") as seen:
            attempt()
        assert seen.value.hint
    assert snapshot(mine) == before


def test_the_longest_names_can_be_written_and_longer_ones_are_told_before(tiny, tmp_path):
    longest = tmp_path / f"{'ä' * 125}.dip"
    store.check_destination(longest)
    store.write(longest, tiny.manifest, tiny.contents)
    assert store.read(longest)[0] == tiny.manifest
    with pytest.raises(StorageError, match="name too long") as seen:
        store.check_destination(tmp_path / f"{'a' * 252}.dip")
    assert "shorter" in seen.value.hint
    assert list(tmp_path.iterdir()) == [longest]


def test_a_file_is_not_replaced(tiny, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="is a file"):
        store.write(tmp_path / "thesis.txt", tiny.manifest, tiny.contents)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_contents_that_differ_from_the_manifest_are_not_written(tiny, tiny_bundle):
    before = snapshot(tiny_bundle)
    less = {name: data for name, data in tiny.contents.items() if name != "model.onnx"}
    for contents in (less, {**tiny.contents, "model.onnx": b"other"}):
        with pytest.raises(BundleError, match=r"'model\.onnx' is not what the manifest says"):
            store.write(tiny_bundle, tiny.manifest, contents)
    with pytest.raises(BundleError, match="leaves its folder"):
        store.write(tiny_bundle, tiny.manifest, {**tiny.contents, "../out.txt": b"x"})
    assert snapshot(tiny_bundle) == before
    assert list(tiny_bundle.parent.iterdir()) == [tiny_bundle]


FILL = """
import resource, sys, signal
from pathlib import Path
from diptych.core.errors import StorageError
from diptych.inference import store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
manifest, _ = store.read(folder)
contents = {path.name: path.read_bytes() for path in folder.iterdir()}
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    store.write(folder, manifest, {**contents, "z.bin": bytes(1 << 20)})
except StorageError as error:
    sys.exit(f"{error.message}|{error.hint}")
"""


def test_when_the_disk_refuses_more_the_earlier_bundle_is_whole(tiny_bundle):
    before = snapshot(tiny_bundle)
    run = subprocess.run(
        [sys.executable, "-c", FILL, str(tiny_bundle)], capture_output=True, text=True, check=False
    )
    assert "cannot write" in run.stderr
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert snapshot(tiny_bundle) == before
    assert list(tiny_bundle.parent.iterdir()) == [tiny_bundle]


def test_when_the_disk_is_full_the_earlier_bundle_is_whole(tiny, small_disk):
    folder = small_disk / "tiny.dip"
    store.write(folder, tiny.manifest, tiny.contents)
    before = snapshot(folder)
    with pytest.raises(StorageError, match="no space left") as seen:
        store.write(folder, tiny.manifest, {**tiny.contents, "z.bin": bytes(1 << 20)})
    assert "free some space" in seen.value.hint
    assert snapshot(folder) == before
    assert store.read(folder)[0] == tiny.manifest
    assert list(small_disk.iterdir()) == [folder]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_without_permission_the_earlier_bundle_is_whole(tiny, tiny_bundle):
    before = snapshot(tiny_bundle)
    tiny_bundle.parent.chmod(0o555)
    try:
        with pytest.raises(StorageError, match="permission denied"):
            store.write(tiny_bundle, tiny.manifest, tiny.contents)
    finally:
        tiny_bundle.parent.chmod(0o755)
    assert snapshot(tiny_bundle) == before


def test_where_the_parent_is_a_file_the_error_is_one_line(tiny, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        store.write(tmp_path / "file" / "a.dip", tiny.manifest, tiny.contents)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_changed_byte_in_any_file_is_refused(tiny, tiny_bundle, data):
    name = data.draw(st.sampled_from(["bundle.json", *sorted(tiny.contents)]))
    original = (tiny_bundle / name).read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    flipped = bytearray(original)
    flipped[place] ^= data.draw(st.integers(1, 255))
    (tiny_bundle / name).write_bytes(flipped)
    try:
        with pytest.raises(BundleError, match=r"differs|cannot be read|format version|too large"):
            store.read(tiny_bundle)
    finally:
        (tiny_bundle / name).write_bytes(original)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.floats(0, 0.999), data=st.data())
def test_any_truncated_or_longer_file_is_refused(tiny, tiny_bundle, cut, data):
    name = data.draw(st.sampled_from(sorted(tiny.contents)))
    original = tiny.contents[name]
    changed = data.draw(
        st.sampled_from([original[: int(cut * len(original))], original + b"\0", b""])
    )
    (tiny_bundle / name).write_bytes(changed)
    try:
        with pytest.raises(BundleError, match="not of the size"):
            store.read(tiny_bundle)
    finally:
        (tiny_bundle / name).write_bytes(original)


def test_files_that_are_not_listed_are_never_opened(tiny, tiny_bundle):
    os.mkfifo(tiny_bundle / "weights.pkl")
    (tiny_bundle / "report.html").write_text("a page that changes")
    (tiny_bundle / "link").symlink_to("/etc/passwd")
    assert store.read(tiny_bundle)[0] == tiny.manifest


def test_reading_a_large_file_takes_little_memory(tiny, tmp_path):
    zeros = bytes(64 << 20)
    manifest = structs.replace(
        tiny.manifest, files=(*tiny.manifest.files, store.record("weights.bin", zeros))
    )
    store.write(tmp_path / "large.dip", manifest, {**tiny.contents, "weights.bin": zeros})
    del zeros
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store.read(tmp_path / "large.dip")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16_384
