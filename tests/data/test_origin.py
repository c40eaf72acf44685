import os
import time
from pathlib import Path

import pytest

from diptych.core.progress import Step, silent
from diptych.data.origin import FILES, content_sha256, key_of, look_at
from diptych.data.reading import Options


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "b/3.png", "b/deep/4.png"):
        file = tmp_path / "source" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "source"


def test_every_kind_but_the_built_in_has_files() -> None:
    assert set(FILES) == {"folders", "idx", "parquet", "table"}


def test_all_files_in_class_folders_are_seen(source: Path) -> None:
    (source / "loose.txt").write_text("is no data")
    origin = look_at("folders", source)
    names = [file.relative_to(source.resolve()).as_posix() for file in origin.files]
    assert names == ["a/1.png", "a/2.png", "b/3.png", "b/deep/4.png"]
    assert [folder.name for folder in origin.folders] == ["a", "b", "deep"]
    assert origin.size_bytes == sum(map(len, names))


def test_a_file_is_seen_alone(tmp_path: Path) -> None:
    for name in ("x.csv", "y.csv"):
        (tmp_path / name).write_text(name)
    origin = look_at("table", tmp_path / "x.csv")
    assert ([file.name for file in origin.files], origin.name) == (["x.csv"], "x")


def test_the_content_does_not_depend_on_the_place(source: Path, tmp_path: Path) -> None:
    first = content_sha256(look_at("folders", source), silent)
    (tmp_path / "else").mkdir()
    moved = source.rename(tmp_path / "else" / "source")
    os.utime(moved / "a" / "1.png", (1, 1))
    assert content_sha256(look_at("folders", moved), silent) == first


CHANGES = {
    "content": lambda root: (root / "a" / "1.png").write_text("x/1.png"),
    "name": lambda root: (root / "a" / "1.png").rename(root / "a" / "0.png"),
    "class": lambda root: (root / "a" / "1.png").rename(root / "b" / "1.png"),
    "one more": lambda root: (root / "a" / "5.png").write_text(""),
    "one less": lambda root: (root / "a" / "1.png").unlink(),
    "an empty class": lambda root: (root / "c").mkdir(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen_at_a_glance_and_in_the_content(change: str, source: Path) -> None:
    before = look_at("folders", source)
    content = content_sha256(before, silent)
    CHANGES[change](source)
    after = look_at("folders", source)
    assert after.signature != before.signature
    assert content_sha256(after, silent) != content


def test_a_time_alone_is_seen_at_a_glance_only(source: Path) -> None:
    before = look_at("folders", source)
    os.utime(source / "a" / "1.png", (1, 1))
    after = look_at("folders", source)
    assert after.signature != before.signature
    assert content_sha256(after, silent) == content_sha256(before, silent)


@pytest.mark.parametrize(("later_s", "settled"), [(0, False), (1, False), (3, True)])
def test_files_of_the_last_seconds_are_not_settled(
    source: Path, later_s: int, settled: bool
) -> None:
    now = time.time_ns() + later_s * 10**9
    assert look_at("folders", source, lambda: now).settled == settled


def test_hashing_is_reported(source: Path) -> None:
    steps: list[Step] = []
    content_sha256(look_at("folders", source), steps.append)
    assert [(step.done, step.total) for step in steps] == [(4, 4)]


def test_a_key_is_of_the_content_and_of_what_is_made_of_it() -> None:
    variants = [
        ("c", Options()),
        ("d", Options()),
        ("c", Options(seed=1)),
        ("c", Options(target="x")),
        ("c", Options(assets={"x": b"1"})),
        ("c", Options(assets={"x": b"2"})),
    ]
    keys = [key_of(*each) for each in variants]
    assert len(set(keys)) == len(keys)
    assert key_of("c", Options(skip_unreadable=True, cache=False)) == keys[0]
    assert {len(key) for key in keys} == {64}
