import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core import arrays
from diptych.core.errors import StorageError

SMALL = 64
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def owner(array: np.ndarray) -> object:
    found: object = array
    while isinstance(found, np.ndarray):
        found = found.base
    return found


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=3),
    st.sampled_from(["uint8", "int16", "int32", "float32"]),
    st.integers(0, 200),
)
def test_an_array_on_disk_is_like_one_in_memory(shape: list[int], dtype: str, most: int) -> None:
    made = arrays.empty(shape, dtype, most)
    assert (made.shape, made.dtype, made.flags.writeable) == (tuple(shape), dtype, True)
    assert isinstance(owner(made), mmap.mmap) == (made.nbytes > most)
    values = np.arange(made.size).reshape(shape)
    made[...] = values
    arrays.release(made)
    np.testing.assert_array_equal(made, values)


def test_the_file_of_an_array_has_no_name(tmp_path: Path) -> None:
    made = arrays.empty((1000,), "uint8", SMALL, tmp_path)
    assert isinstance(owner(made), mmap.mmap)
    assert list(tmp_path.iterdir()) == []


def test_where_the_disk_has_no_room_memory_is_used(tmp_path: Path) -> None:
    made = arrays.empty((1000,), "uint8", SMALL, tmp_path / "absent")
    assert owner(made) is None


def test_no_room_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no room for 4,\d+,\d+,\d+ GB, neither in memory nor"):
        arrays.empty((1 << 62,), "uint8", SMALL, tmp_path)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 99), max_size=300), st.integers(1, 3000))
def test_items_are_taken_as_by_indexing(rows: list[int], width: int) -> None:
    inputs = np.arange(100 * width, dtype=np.int32).reshape(100, width)
    chosen = np.array(rows, np.int64)
    np.testing.assert_array_equal(arrays.take(inputs, chosen, SMALL), inputs[chosen])


@settings(max_examples=40)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.integers(0, 300))
def test_arrays_are_joined_as_by_concatenating(lengths: list[int], most: int) -> None:
    pieces = [np.random.default_rng(n).integers(0, 99, (n, 3), np.int32) for n in lengths]
    whole = arrays.joined(pieces, most)
    np.testing.assert_array_equal(whole, np.concatenate(pieces))
    assert whole.dtype == np.int32
    if sum(n > 0 for n in lengths) > 1:
        assert isinstance(owner(whole), mmap.mmap) == (whole.nbytes > most)


def test_joining_several_parts_of_each_keeps_their_order() -> None:
    first = np.arange(9 << 20, dtype=np.int32).reshape(9, -1)
    whole = arrays.joined([first, -first[:3]], SMALL)
    np.testing.assert_array_equal(whole, np.concatenate([first, -first[:3]]))


def test_what_is_joined_to_nothing_is_no_copy() -> None:
    inputs = np.ones((3, 2), np.uint8)
    assert arrays.joined([inputs[:0], inputs, inputs[:0]]) is inputs
    assert arrays.joined([inputs[:0], inputs[:0]]).shape == (0, 2)


def test_parts_put_together_are_the_array() -> None:
    inputs = np.arange(9 << 20, dtype=np.int32).reshape(9, -1)
    seen = [part.copy() for part in arrays.parts(inputs)]
    assert [len(part) for part in seen] == [2, 2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(seen), inputs)
    assert list(arrays.parts(inputs[:0])) == []


@settings(max_examples=40)
@given(st.integers(1, 200), st.integers(1, 500))
def test_a_sample_fits_and_is_even(count: int, most_bytes: int) -> None:
    inputs = np.arange(count, dtype=np.int32)[:, None]
    found = arrays.sample(inputs, most_bytes)
    assert 1 <= len(found) == min(count, max(1, most_bytes // 4))
    gaps = np.diff(found[:, 0])
    assert found[0, 0] == 0
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_a_sample_of_what_fits_is_no_copy() -> None:
    inputs = np.zeros((3, 2), np.uint8)
    assert arrays.sample(inputs, 6) is inputs


def test_releasing_leaves_every_kind_of_array_as_it_is(tmp_path: Path) -> None:
    values = np.arange(100_000)
    np.save(tmp_path / "x.npy", values)
    kinds = {mode: np.load(tmp_path / "x.npy", mmap_mode=mode) for mode in ("r", "r+", "c")}
    kinds["c"][5] = -1
    for array in (values, *kinds.values()):
        before = array.copy()
        arrays.release(array)
        arrays.release(np.asarray(array)[3:])
        np.testing.assert_array_equal(array, before)


@linux
def test_released_pages_are_not_resident() -> None:
    made = arrays.empty((64 << 20,), "uint8", SMALL)
    made[:] = 1
    full = resident_bytes()
    arrays.release(made[10:].reshape(-1, 2))
    assert full - resident_bytes() > 60 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


PEAK = """
import resource, numpy as np
from pathlib import Path
from diptych.core import arrays
limit = 128 << 20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
inputs = arrays.empty((384, 1 << 20), "uint8")
for part in arrays.parts(inputs):
    part[:] = np.arange(len(part), dtype=np.uint8)[:, None]
rows = np.arange(384)[::-1].copy()
taken = arrays.take(inputs, rows)
assert sum(int(part[:, ::4096].sum()) for part in arrays.parts(taken)) == int(
    sum(part[:, ::4096].sum() for part in arrays.parts(inputs)))
peak = next(l for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l)
assert int(peak.split()[1]) << 10 < limit, peak
"""


@linux
@pytest.mark.slow
def test_arrays_three_times_the_allowed_memory_are_filled_and_copied() -> None:
    subprocess.run([sys.executable, "-c", PEAK], check=True)
