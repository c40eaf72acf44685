import os
import random
import stat
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from diptych.core.specs import AudioSpec, ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.data import cache_entry
from diptych.data.cache_entry import DamagedError, open_entry, size_of, write

TYPES = st.sampled_from([np.uint8, np.int16, np.int32, np.float32])


def split(inputs: np.ndarray, originals: bool = False) -> Split:
    names = tuple(f"é#{number}" for number in range(len(inputs)))
    return Split(
        inputs=inputs,
        targets=np.arange(len(inputs)),
        items=names,
        originals=names if originals else None,
    )


def dataset(train: Split, others: Split) -> Dataset:
    return Dataset(
        goal="classification",
        spec=AudioSpec(sample_rate=8000, samples=256),
        labels=("a", "b"),
        train=train,
        validation=others,
        test=others,
        record=DataRecord(name="x", sha256="0", counts={"train": 1}, split_method="none", seed=3),
        assets={"tokenizer.json": b"\x00\xff"},
    )


@settings(max_examples=6)
@given(
    arrays.arrays(TYPES, arrays.array_shapes(min_dims=1, max_dims=4, max_side=5)),
    st.booleans(),
    st.integers(0, 5),
)
def test_what_is_written_is_what_is_opened(
    tmp_path_factory: pytest.TempPathFactory, inputs: np.ndarray, originals: bool, count: int
) -> None:
    place = tmp_path_factory.mktemp("entries") / "one"
    written = dataset(split(inputs, originals), split(np.zeros((count, 2), np.uint8)))
    write(place, (written, ("a fact",)))
    opened = open_entry(place)
    assert opened is not None
    assert opened[1] == ("a fact",)
    for name in ("train", "validation", "test"):
        one, other = getattr(written, name), getattr(opened[0], name)
        np.testing.assert_array_equal(one.inputs, other.inputs)
        assert one.inputs.dtype == other.inputs.dtype
        assert (one.items, one.originals) == (other.items, other.originals)
    assert (opened[0].spec, opened[0].record) == (written.spec, written.record)
    assert opened[0].assets == written.assets
    assert sum(file.stat().st_size for file in place.iterdir()) <= size_of(written)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o444), (0o027, 0o440), (0o077, 0o400)])
def test_what_is_kept_may_be_read_by_whom_the_umask_lets(
    tmp_path: Path, umask: int, mode: int
) -> None:
    whole, before = split(np.zeros((3, 2), np.uint8), originals=True), os.umask(umask)
    try:
        write(tmp_path / "one", (dataset(whole, whole), ()))
    finally:
        os.umask(before)
    kept = [file for file in (tmp_path / "one").iterdir() if file.name != cache_entry.INDEX]
    assert len(kept) > 10
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {mode}


def test_inputs_in_any_layout_of_memory_are_written_in_order(tmp_path: Path) -> None:
    inputs = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)
    write(tmp_path / "one", (dataset(split(inputs), split(inputs)), ()))
    opened = open_entry(tmp_path / "one")
    assert opened is not None
    np.testing.assert_array_equal(opened[0].train.inputs, inputs)


def test_there_may_be_none(tmp_path: Path) -> None:
    assert open_entry(tmp_path / "absent") is None


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    inputs = np.random.default_rng(0).integers(0, 256, (20, 100), dtype=np.uint8)
    write(tmp_path / "one", (dataset(split(inputs), split(inputs[:3])), ()))
    return tmp_path / "one"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("entries") / "one"
    inputs = np.arange(60, dtype=np.uint8).reshape(6, 10)
    write(place, (dataset(split(inputs), split(inputs)), ()))
    return place


@settings(max_examples=60)
@given(st.data())
def test_no_changed_byte_is_trusted(written: Path, data: st.DataObject) -> None:
    files = sorted(file for file in written.iterdir() if file.name != "index.json")
    file = data.draw(st.sampled_from(files))
    content = file.read_bytes()
    changed = bytearray(content)
    changed[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.unlink()
    file.write_bytes(changed)
    with pytest.raises(DamagedError, match="differs at 0"):
        open_entry(written)
    file.write_bytes(content)
    assert open_entry(written)


def test_a_file_more_is_damage_too(entry: Path) -> None:
    (entry / "more").write_text("")
    with pytest.raises(DamagedError, match="other files"):
        open_entry(entry)


def test_another_format_is_not_opened(entry: Path) -> None:
    index = msgspec.json.decode((entry / "index.json").read_bytes())
    (entry / "index.json").write_bytes(msgspec.json.encode(index | {"format": 0}))
    with pytest.raises(DamagedError, match="other files"):
        open_entry(entry)


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make parts of 100 bytes and compare six at a time, as if the entry were large."""
    monkeypatch.setattr(cache_entry, "PART_BYTES", 100)
    monkeypatch.setattr(cache_entry, "COMPARED_BYTES", 600)


def test_a_large_entry_that_has_another_time_is_compared_whole(
    in_small_parts: None, entry: Path
) -> None:
    flip(entry / "train.inputs.npy", 1500)
    with pytest.raises(DamagedError, match=r"train\.inputs\.npy differs at 1,500"):
        open_entry(entry)


def test_a_disk_that_forgets_is_found_out_in_time(in_small_parts: None, entry: Path) -> None:
    random.seed(0)
    assert all(open_entry(entry) for _ in range(3))
    flip(entry / "train.inputs.npy", 1500)
    index = msgspec.json.decode((entry / "index.json").read_bytes(), type=cache_entry.Index)
    stamp = cache_entry._seen(entry / "train.inputs.npy")[1]
    sums = msgspec.structs.replace(index.files["train.inputs.npy"], stamp=stamp)
    index.files["train.inputs.npy"] = sums
    (entry / "index.json").write_bytes(msgspec.json.encode(index))
    with pytest.raises(DamagedError, match=r"train\.inputs\.npy differs at 1,500"):
        all(open_entry(entry) for _ in range(100))


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.chmod(0o600)
    with file.open("r+b") as stream:
        stream.write(content)


def test_nothing_is_parsed_before_it_is_compared(entry: Path) -> None:
    file = entry / "train.targets.npy"
    file.chmod(0o600)
    content = file.read_bytes().replace(b"descr", b"x" * 5)
    file.write_bytes(content)
    with pytest.raises(DamagedError, match=r"targets\.npy differs"):
        open_entry(entry)


def test_a_spec_of_another_kind_is_kept_as_well(tmp_path: Path) -> None:
    from dataclasses import replace

    inputs = np.zeros((2, 4, 4, 1), np.uint8)
    spec = ImageSpec(height=4, width=4, channels=1)
    made = replace(dataset(split(inputs), split(inputs)), spec=spec)
    write(tmp_path / "one", (made, ()))
    opened = open_entry(tmp_path / "one")
    assert opened is not None
    assert opened[0].spec == spec
