"""The cache against reading without it, and against everything that may happen to it."""

import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as arrow_parquet

from diptych.core.errors import DataError
from diptych.core.progress import Step
from diptych.data import READERS, read
from diptych.data.assemble import assemble
from diptych.data.cache import read_cached
from diptych.data.cache_entry import Read
from diptych.data.cache_folder import CacheFolder
from diptych.data.reading import Options
from diptych.data.sources import recognize

Tree = Callable[..., Path]
PLAIN = Options(cache=False)
READER = """
import os, sys
from diptych.data.cache_folder import CacheFolder
from diptych.data import cache_folder
import diptych.data as data
from pathlib import Path
place = CacheFolder(folder=Path(sys.argv[2]), most_bytes=10**9, least_source_bytes=0)
data.cache_folder = lambda environment: place
stages = []
report = lambda step: stages.append(step.note if step.stage == "cache" else step.stage)
dataset = data.read(sys.argv[1], report=report)
print(dataset.record.sha256, *stages, sep="|")
"""
KILLS = """
import random, select, shutil, signal
moments, amid = random.Random(0), 0
for _ in range(20):
    child = os.fork()
    while not child:
        for entry in os.listdir(place.folder / "sets"):
            shutil.rmtree(place.entry(entry), ignore_errors=True)
        data.read(sys.argv[1])
    select.select([], [], [], moments.uniform(0.01, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    amid += any(name.endswith(".tmp") for name in os.listdir(place.folder / "sets"))
    assert data.read(sys.argv[1]).record.sha256 == dataset.record.sha256
print(amid)
"""


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    return CacheFolder(folder=tmp_path / "cache", most_bytes=10**9, least_source_bytes=0)


def pictures(root: Path) -> Path:
    from PIL import Image

    for number in range(24):
        place = root / ("train", "train", "test")[number % 3] / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return root


def parquet(root: Path) -> Path:
    files = sorted(pictures(root / "png").rglob("*.png"))
    rows = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    table = {"image": rows, "label": [int(file.parent.name == "b") for file in files]}
    arrow_parquet.write_table(pa.table(table), root / "train-0.parquet")
    shutil.rmtree(root / "png")
    return root


def idx(root: Path) -> Path:
    random_bytes = np.random.default_rng(0).integers(0, 256, (30, 5, 4), dtype=np.uint8)
    root.mkdir()
    for name, magic, array in (
        ("train-images-idx3-ubyte", 0x803, random_bytes),
        ("train-labels-idx1-ubyte", 0x801, np.arange(30, dtype=np.uint8) % 3),
    ):
        header = np.array([magic, *array.shape], ">u4").tobytes()
        (root / name).write_bytes(header + array.tobytes())
    return root


def sounds(root: Path) -> Path:
    for number in range(20):
        file = root / "xy"[number % 2] / f"{number}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(number).integers(-9999, 9999, 5000, dtype=np.int16)
        with wave.open(str(file), "wb") as stream:
            stream.setparams((1, 2, 8000, 0, "NONE", ""))
            stream.writeframes(samples.tobytes())
    return root


def texts(root: Path) -> Path:
    root.mkdir()
    lines = [
        f"this is the text of number {n} in all,{'good' if n % 2 else 'bad'}" for n in range(40)
    ]
    (root / "train.csv").write_text("\n".join(["text,label", *lines]))
    return root


def table(root: Path) -> Path:
    root.mkdir()
    lines = [f"{n % 7},{'red' if n % 5 else 'blue'},{n * n % 11 / 3}" for n in range(60)]
    (root / "rows.csv").write_text("\n".join(["size,color,target", *lines]))
    return root / "rows.csv"


KINDS = {each.__name__: each for each in (pictures, parquet, idx, sounds, texts, table)}


def through(
    folder: CacheFolder, source: Path, options: Options = PLAIN
) -> tuple[Read, list[str], bool]:
    """Read through a cache; give also its notes, and whether it had to prepare the data."""
    kind, path = recognize(source)
    notes: list[str] = []
    made = []

    def make() -> Read:
        made.append(True)
        return assemble(READERS[kind](path, options.target), options, lambda step: None)

    def report(step: Step) -> None:
        if step.stage == "cache":
            notes.append(step.note)

    return read_cached(kind, path, options, report, make, folder), notes, bool(made)


def assert_same(one: Read, other: Read) -> None:
    for name in ("train", "validation", "test"):
        first, second = (getattr(each[0], name) for each in (one, other))
        np.testing.assert_array_equal(first.inputs, second.inputs)
        np.testing.assert_array_equal(first.targets, second.targets)
        assert (first.inputs.dtype, first.targets.dtype) == (
            second.inputs.dtype,
            second.targets.dtype,
        )
        assert (first.items, first.originals) == (second.items, second.originals)
    empty = dict.fromkeys(("train", "validation", "test"))
    assert replace(one[0], **empty) == replace(other[0], **empty)
    assert one[1] == other[1]


def entries(folder: CacheFolder) -> list[Path]:
    return sorted((folder.folder / "sets").iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_from_the_cache_is_what_is_read_without(
    kind: str, tmp_path: Path, folder: CacheFolder
) -> None:
    source = KINDS[kind](tmp_path / "source")
    plain = read(source, PLAIN)
    first, notes, prepared = through(folder, source)
    assert (notes, prepared) == ([], True)
    again, notes, prepared = through(folder, source)
    assert (notes, prepared) == (["prepared before"], False)
    assert_same(first, again)
    assert_same((plain, first[1]), again)
    assert not again[0].train.inputs.flags.writeable


def test_names_that_are_not_utf_8_can_be_kept(tmp_path: Path, folder: CacheFolder) -> None:
    source = pictures(tmp_path / "source")
    for split in ("train", "test"):
        (source / split / "a").rename(source / split / "\udce9")
    first, _, _ = through(folder, source)
    again, notes, _ = through(folder, source)
    assert notes == ["prepared before"]
    assert_same(first, again)
    assert again[0].labels == ("\\udce9", "b")


def test_a_copy_of_a_source_is_the_same_and_a_changed_or_renamed_one_is_not(
    tmp_path: Path, folder: CacheFolder
) -> None:
    source = pictures(tmp_path / "a" / "source")
    through(folder, source)
    copy = Path(shutil.copytree(source, tmp_path / "b" / "source"))
    assert not through(folder, copy)[2]
    assert through(folder, source.rename(tmp_path / "a" / "other"))[2]
    (copy / "train" / "a" / "0.png").write_bytes((copy / "train" / "a" / "4.png").read_bytes())
    changed = through(folder, copy)
    assert changed[2]
    assert_same(changed[0], (read(copy, PLAIN), changed[0][1]))
    (copy / "train" / "c").mkdir()
    assert through(folder, copy)[2]
    assert len(entries(folder)) == 4


def test_a_file_that_changes_and_keeps_its_size_and_time_is_seen(
    tmp_path: Path, folder: CacheFolder
) -> None:
    source = idx(tmp_path / "source")
    file = source / "train-images-idx3-ubyte"
    for path in source.iterdir():
        os.utime(path, (1, 1))
    through(folder, source)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, (1, 1))
    assert through(folder, source)[2]


def test_other_options_make_another_entry(tmp_path: Path, folder: CacheFolder) -> None:
    source = pictures(tmp_path / "source")
    options = (
        PLAIN,
        Options(seed=1),
        Options(image_size=16),
        Options(order=("b", "a"), goal="ordinal"),
    )
    assert all(through(folder, source, each)[2] for each in options)
    assert not any(through(folder, source, each)[2] for each in options)
    spec = read(source, PLAIN).spec
    assert through(folder, source, Options(spec=spec))[2]
    assert through(folder, source, Options(spec=spec, assets={"a": b""}))[2]


def test_items_left_out_stay_an_error_unless_that_is_accepted(
    tmp_path: Path, folder: CacheFolder
) -> None:
    source = pictures(tmp_path / "source")
    (source / "train" / "a" / "bad.png").write_bytes(b"nothing")
    lenient = Options(skip_unreadable=True)
    for _ in range(2):
        first, _, _ = through(folder, source, lenient)
        assert [each.item for each in first[0].record.skipped] == ["train/a/bad.png"]
        with pytest.raises(DataError, match=r"bad\.png"):
            through(folder, source)
    assert not through(folder, source, lenient)[2]


FILES = ("index.json", "description.msgpack", "train.inputs.npy", "test.items.msgpack")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "grow", "link"])
def test_a_damaged_entry_is_made_again_with_a_note(
    name: str, damage: str, tmp_path: Path, folder: CacheFolder
) -> None:
    source = pictures(tmp_path / "source")
    expected, _, _ = through(folder, source)
    file = entries(folder)[0] / name
    content = bytearray(file.read_bytes())
    file.unlink()
    content[len(content) // 2] ^= 0x20 if damage == "flip" else 0
    if damage == "link":
        file.symlink_to(tmp_path / "absent")
    elif damage != "remove":
        tail = b"x" if damage == "grow" else b""
        file.write_bytes(content[: len(content) // (1 + (damage == "cut"))] + tail)
    found, notes, prepared = through(folder, source)
    assert prepared
    assert notes[0].startswith("damaged, made again")
    assert_same(found, expected)
    assert not through(folder, source)[2]


def test_a_source_that_changes_while_it_is_read_is_not_kept(
    tmp_path: Path, folder: CacheFolder
) -> None:
    source = pictures(tmp_path / "source")

    def make() -> Read:
        (source / "train" / "a" / "new.png").write_bytes(b"")
        return read(pictures(tmp_path / "else"), PLAIN), ()

    read_cached("folders", source, PLAIN, lambda step: None, make, folder)
    assert entries(folder) == []


def test_a_cache_that_cannot_be_written_is_told_and_data_is_read(tmp_path: Path) -> None:
    source, place = pictures(tmp_path / "source"), tmp_path / "file"
    place.write_text("")
    folder = CacheFolder(folder=place, most_bytes=10**9, least_source_bytes=0)
    found, notes, prepared = through(folder, source)
    assert prepared
    assert len(notes) == 1
    assert notes[0].startswith("not used: ")
    assert len(found[0].train) > 0


def test_a_set_larger_than_the_limit_is_read_and_not_kept(
    tmp_path: Path, folder: CacheFolder
) -> None:
    _, notes, _ = through(replace(folder, most_bytes=1000), pictures(tmp_path / "source"))
    assert len(notes) == 1
    assert "the limit is 1 KB (set DIPTYCH_CACHE_LIMIT to more)" in notes[0]
    assert entries(folder) == []


def test_small_sources_are_read_without_a_cache(tmp_path: Path, folder: CacheFolder) -> None:
    usual = replace(folder, least_source_bytes=5_000_000)
    _, notes, prepared = through(usual, pictures(tmp_path / "source"))
    assert (notes, prepared, folder.folder.exists()) == ([], True, False)


def test_an_error_of_the_data_stays_itself(tmp_path: Path, folder: CacheFolder) -> None:
    source = texts(tmp_path / "source")
    (source / "train.csv").write_text("text,label\nsome words in a row,1\n")
    with pytest.raises(DataError, match="one class"):
        through(folder, source)


FEW_BYTES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
"""


def run(source: Path, place: Path, first: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", first + READER, str(source), str(place)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.strip().split("|")


@pytest.mark.slow
def test_two_processes_make_one_entry(tmp_path: Path, folder: CacheFolder) -> None:
    source = many_pictures(tmp_path / "source")
    results = [told(each) for each in [run(source, folder.folder) for _ in range(3)]]
    assert len({result[0] for result in results}) == 1
    assert sum("decode train" in result for result in results) == 1
    assert len(entries(folder)) == 1


def many_pictures(root: Path) -> Path:
    for number in range(40):
        pictures(root / f"{number}")
    for number in range(40):
        for file in (root / f"{number}").rglob("*.png"):
            place = root / file.relative_to(root / f"{number}").parent
            place.mkdir(parents=True, exist_ok=True)
            file.rename(place / f"{number}-{file.name}")
        shutil.rmtree(root / f"{number}")
    return root


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_cache_whole(tmp_path: Path, folder: CacheFolder) -> None:
    source = idx(tmp_path / "source")
    expected, _, _ = through(folder, source)
    command = [sys.executable, "-c", READER + KILLS, str(source), str(folder.folder)]
    killed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert int(killed.stdout.split()[-1]) > 2, "hardly any was killed while it made an entry"
    found, notes, _ = through(folder, source)
    assert_same(found, expected)
    assert not any("damaged" in note for note in notes)
    through(folder, source, Options(seed=1))
    assert not [each for each in entries(folder) if each.name.endswith(".tmp")]


@pytest.mark.slow
def test_a_full_disk_is_told_and_data_is_read(tmp_path: Path) -> None:
    source = many_pictures(tmp_path / "source")
    result = told(run(source, tmp_path / "cache", FEW_BYTES))
    assert "not kept: cannot write" in result[-1]
    assert result[0] == read(source, PLAIN).record.sha256
    assert list((tmp_path / "cache" / "sets").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_too_small_is_told_and_data_is_read(
    tmp_path: Path, small_disk: Path
) -> None:
    source = pictures(tmp_path / "source")
    folder = CacheFolder(folder=small_disk / "cache", most_bytes=10**9, least_source_bytes=0)
    found, notes, prepared = through(folder, source)
    assert prepared
    assert notes[0].startswith("not kept: it takes ")
    assert len(found[0].train) > 0
    assert entries(folder) == []
