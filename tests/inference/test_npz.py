"""Arrays in a zip, read without trust; the oracle is NumPy's own reader and writer."""

import io
import pickle
import zipfile
from contextlib import suppress
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from diptych.core.errors import BundleError
from diptych.core.specs import Dtype
from diptych.inference.npz import MAX_TOTAL_BYTES, read_arrays, write_arrays

ARRAYS = st.one_of(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)),
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)),
    hnp.arrays(np.int16, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0)),
    hnp.arrays(np.int32, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0)),
    hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0)),
)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", get_args(Dtype))
def test_the_inputs_of_every_graph_can_be_kept(dtype):
    array = np.arange(6).astype(dtype).reshape(2, 3)
    found = read_arrays(write_arrays({"inputs": array}))["inputs"]
    np.testing.assert_array_equal(found, array, strict=True)


@given(arrays=st.dictionaries(st.sampled_from(["a", "b.c", "d-e"]), ARRAYS, min_size=1))
def test_numpy_reads_what_we_write_and_we_read_what_numpy_writes(arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    ours = write_arrays(arrays)
    with np.load(io.BytesIO(ours), allow_pickle=False) as theirs:
        for found in (read_arrays(ours), read_arrays(buffer.getvalue()), theirs):
            assert set(found) == set(arrays)
            for name, array in arrays.items():
                assert found[name].dtype == array.dtype
                np.testing.assert_array_equal(found[name], array, strict=True)


def test_the_same_arrays_give_the_same_bytes():
    arrays = {"a": np.arange(100, dtype=np.uint8), "b": np.ones((2, 3), np.float32)}
    assert write_arrays(arrays) == write_arrays(arrays)


GOOD = npy(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a zip"),
        (pickle.dumps([1, 2]), "not a zip"),
        (b"#!/bin/sh\n" + zipped({"a.npy": GOOD}), "not a zip"),
        (zipped({"a.npy": GOOD})[:-30], "not a readable zip"),
        (zipped({"a.npy": npy(np.array([{}], dtype=object))}), "something else"),
        (zipped({"a.npy": npy(np.zeros(2, np.float64))}), "something else"),
        (zipped({"a.npy": npy(np.asfortranarray(np.zeros((2, 3), np.uint8)))}), "something else"),
        (zipped({"a.pkl": b"x"}), "something else"),
        (zipped({"../a.txt": GOOD}), "something else"),
        (zipped({"a.npy": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 70_000}), "something else"),
        (zipped({"a.npy": GOOD.replace(b"(2, 3)", b"(9, 9)")}), "does not fit"),
        (zipped({"a.npy": GOOD.replace(b"(2, 3), }   ", b"(99999999, )}")}), "something else"),
        (zipped({"a.npy": GOOD + b"more"}), "does not fit"),
        (zipped({"a.npy": GOOD}, zipfile.ZIP_LZMA), "unusual"),
        (zipped({f"{n}.npy": GOOD for n in range(66)}), "more than 65"),
        (zipped({"a.npy": bytes(MAX_TOTAL_BYTES + 1)}), "unpacks to more"),
    ],
)
def test_anything_else_is_refused(data, message):
    with pytest.raises(BundleError, match=message):
        read_arrays(data)


def test_a_size_that_lies_is_not_unpacked_further():
    real, claimed = b"\0" * 50_000_000, 200
    data = bytearray(zipped({"a.npy": real}))
    for start, offset in ((data.find(b"PK\x03\x04"), 22), (data.find(b"PK\x01\x02"), 24)):
        data[start + offset : start + offset + 4] = claimed.to_bytes(4, "little")
    with pytest.raises(BundleError, match="not a readable zip"):
        read_arrays(bytes(data))


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_give_other_arrays_but_never_break(data):
    whole = bytearray(write_arrays({"a": np.arange(60, dtype=np.float32).reshape(3, 20)}))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with suppress(BundleError):
        assert set(read_arrays(bytes(whole))) == {"a"}
