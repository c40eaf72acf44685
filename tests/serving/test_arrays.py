"""Arrays in JSON, against Python's own parser and NumPy."""

import gc
import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.serving.arrays import PICTURES, TENSORS, nesting, parse_array, parse_lists
from diptych.serving.messages import RequestError

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(shapes, st.randoms(use_true_random=False), st.sampled_from([None, 1, 4]))
def test_integers_are_read_as_pythons_parser_reads_them(shape, random, indent):
    array = np.array([random.randrange(256) for _ in range(np.prod(shape))]).reshape(shape)
    text = json.dumps(array.tolist(), indent=indent)
    parsed = parse_array(text.encode(), TENSORS["uint8"], "uint8")
    assert parsed.dtype == np.uint8
    np.testing.assert_array_equal(parsed, np.array(json.loads(text)))


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=4))
def test_floats_stay_floats(rows):
    parsed = parse_array(json.dumps(rows).encode(), PICTURES)
    assert parsed.dtype == np.float64
    np.testing.assert_array_equal(parsed, rows)


@given(st.binary(max_size=60))
def test_any_bytes_give_an_array_or_a_data_error(text):
    with suppress(DataError):
        assert parse_array(text, PICTURES).ndim in PICTURES


@pytest.mark.parametrize(
    "text", ["", "[[1,2]", "[[1 2]]", "[[NaN]]", "nan", "[[1]]]", '{"a":' * 9999, "\x00"]
)
def test_what_is_not_json_is_a_wrong_request(text):
    with pytest.raises(RequestError, match="JSON"):
        parse_array(text.encode(), PICTURES)


@pytest.mark.parametrize(
    "text",
    [
        *("5", "{}", "[1,2]", "[[]]", "[[-1]]", "[[1e9]]", '[["1"]]', "[[null]]", "[[true]]"),
        *("[[1],[2,3]]", "[[1],[[1]]]", "[[[[[1]]]]]", "[" * 99 + "1" + "]" * 99),
    ],
)
def test_json_that_is_no_picture_is_wrong_content(text):
    with pytest.raises(DataError) as caught:
        parse_array(text.encode(), PICTURES)
    assert not isinstance(caught.value, RequestError)


def test_nesting_counts_brackets_through_white_space():
    assert nesting(b" [\n  [ [1, [") == 3
    assert nesting(b"7") == 0


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("int16", -(2**15), 2**15 - 1), ("int32", -(2**31), 2**31 - 1)]
)
def test_integers_of_each_type_have_their_range(dtype, low, high):
    parsed = parse_array(f"[{low}, 0, {high}]".encode(), TENSORS[dtype], dtype)
    assert parsed.dtype == dtype
    assert parsed.tolist() == [low, 0, high]
    for wrong in (low - 1, high + 1, 10**30):
        with pytest.raises(DataError):
            parse_array(f"[{wrong}]".encode(), TENSORS[dtype], dtype)


def test_a_null_among_floats_is_nan_and_what_is_too_large_is_infinite():
    parsed = parse_array(b"[null, 1, 1e300, -0.5]", TENSORS["float32"], "float32")
    np.testing.assert_array_equal(parsed, np.array([np.nan, 1, np.inf, -0.5], np.float32))


@pytest.mark.parametrize("end", [b"]", b",[[256]]]", b""])
def test_python_does_not_look_for_cycles_while_many_lists_are_read(end):
    text = b"[" + b",".join([b"[[0]]"] * 20_000) + end
    seen = []

    def watch(phase: str, told: dict) -> None:
        seen.append(told["generation"])

    gc.collect()
    gc.callbacks.append(watch)
    try:
        with suppress(DataError):
            parse_lists(text, PICTURES)
    finally:
        gc.callbacks.remove(watch)
    assert len(seen) <= 2
    assert gc.isenabled()
