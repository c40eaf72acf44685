"""Whatever arrives, the parser gives a request that fits the model, or a DataError."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.core.specs import TensorSpec
from diptych.serving.protocol_v2 import InferRequest, OutputChoice, parse

SPEC = TensorSpec(name="pixels", dtype="uint8", shape=(None, 2, 3, 1))
OFFERED = ("logits", "scores")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
batches = st.integers(1, 4).flatmap(
    lambda n: st.binary(min_size=6 * n, max_size=6 * n).map(
        lambda data: np.frombuffer(data, np.uint8).reshape(-1, 2, 3, 1)
    )
)


def envelope(batch: np.ndarray, **tensor: object) -> dict:
    first = {"name": "pixels", "datatype": "UINT8", "shape": list(batch.shape), **tensor}
    return {"inputs": [first]}


def read(document: object, tail: bytes = b"", length: bytes | None = None) -> InferRequest:
    head = json.dumps(document).encode()
    return parse(head + tail, length or str(len(head)).encode(), SPEC, OFFERED)


def check_fits(request: InferRequest) -> None:
    assert request.batch.dtype == np.uint8
    assert request.batch.shape[1:] == (2, 3, 1)
    assert 1 <= len(request.batch) <= 1024
    assert {output.name for output in request.outputs} <= set(OFFERED)


@given(st.binary(max_size=200), st.none() | st.binary(max_size=8) | st.integers().map(str))
def test_any_bytes_give_a_request_or_a_data_error(body, length):
    length = length.encode() if isinstance(length, str) else length
    with suppress(DataError):
        check_fits(parse(body, length, SPEC, OFFERED))


@settings(max_examples=60)
@given(
    batches,
    st.sampled_from(["inputs", "id", "outputs", "parameters", "name", "datatype", "shape", "data"]),
    json_values,
    st.binary(max_size=30),
    st.booleans(),
)
def test_a_request_with_one_wrong_part_gives_a_request_or_a_data_error(
    batch, part, value, tail, binary
):
    filled = {"parameters": {"binary_data_size": len(tail)}} if binary else {"data": [0] * 6}
    document = envelope(batch, **filled)
    owner = document if part in {"inputs", "id", "outputs"} else document["inputs"][0]
    owner[part] = value
    with suppress(DataError):
        check_fits(read(document, tail))


@given(batches, st.sampled_from(["binary", "flat", "nested"]))
def test_the_three_ways_to_send_pixels_give_the_same_pixels(batch, way):
    if way == "binary":
        document = envelope(batch, parameters={"binary_data_size": batch.size})
        request = read(document, batch.tobytes())
    else:
        data = batch.ravel() if way == "flat" else batch
        request = parse(
            json.dumps(envelope(batch, data=data.tolist())).encode(), None, SPEC, OFFERED
        )
    np.testing.assert_array_equal(request.batch, batch)


ONE = np.zeros((1, 2, 3, 1), np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "images"}, "no input 'images'"),
        ({"datatype": "FP32"}, "must be 'UINT8'"),
        ({"shape": [1, 3, 2, 1]}, "not [N, 2, 3, 1]"),
        ({"shape": []}, "not [N, 2, 3, 1]"),
        ({"shape": [0, 2, 3, 1]}, ">= 1"),
        ({"shape": [-1, 2, 3, 1]}, ">= 1"),
        ({"shape": [2**40, 2, 3, 1]}, "at most 1024"),
        ({"shape": [2**64, 2, 3, 1]}, "shape[0]"),
        ({"shape": [2, 2, 3, 1]}, "needs 12 bytes, 6 were sent"),
        ({"parameters": {"binary_data_size": 5}}, "binary_data_size is 5, but 6 bytes"),
        ({"parameters": {"binary_data_size": -6}}, ">= 0"),
        ({"parameters": {"binary_data_size": 2**70}}, "binary_data_size"),
        ({"parameters": {}}, "binary_data_size is 0, but 6 bytes"),
        ({"data": [0] * 6}, "both data and binary_data_size"),
    ],
)
def test_a_tensor_that_lies_is_refused(change, message):
    document = envelope(ONE, **{"parameters": {"binary_data_size": 6}, **change})
    with pytest.raises(DataError) as caught:
        read(document, ONE.tobytes())
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([0] * 5, "does not fit"),
        ([[0] * 6], "does not fit"),
        ([[[[0], [0]], [[0], [0]], [[0], [0]]]], "does not fit"),
        ([256, 0, 0, 0, 0, 0], "<= 255"),
        ([-1, 0, 0, 0, 0, 0], ">= 0"),
        ([0.5, 0, 0, 0, 0, 0], "Expected `int`"),
        ([float("nan"), 0, 0, 0, 0, 0], "JSON"),
        ([10**400, 0, 0, 0, 0, 0], "<= 255"),
        ([True, 0, 0, 0, 0, 0], "got `bool`"),
        ("AAAA", "array of numbers"),
        (None, "array of numbers"),
        ([], "length >= 1"),
        ([[[[[[[[[[0]]]]]]]]]], "1 to 9 levels"),
    ],
)
def test_data_that_are_not_the_tensor_are_refused(data, message):
    with pytest.raises(DataError) as caught:
        parse(json.dumps(envelope(ONE, data=data)).encode(), None, SPEC, OFFERED)
    assert message in caught.value.message


@pytest.mark.parametrize("length", [b"-1", b"+1", b"1_0", b"", b"9" * 30, b"0x10", b"100000"])
def test_a_header_length_that_is_no_length_of_this_body_is_refused(length):
    with pytest.raises(DataError, match="Inference-Header-Content-Length"):
        parse(b"{}", length, SPEC, OFFERED)


def test_deep_nesting_anywhere_is_refused():
    for deep in (b'{"inputs":' + b"[" * 100_000, b'{"x":' + b'{"x":' * 100_000):
        with pytest.raises(DataError):
            parse(deep, None, SPEC, OFFERED)


def test_outputs_choose_their_form_and_the_request_has_a_default():
    document = envelope(ONE, data=[0] * 6)
    document["parameters"] = {"binary_data_output": True}
    document["outputs"] = [
        {"name": "scores", "parameters": {"binary_data": False}},
        {"name": "logits", "parameters": {"classification": 3, "unknown": 1}},
    ]
    assert read(document).outputs == (
        OutputChoice(name="scores", binary=False),
        OutputChoice(name="logits", binary=True, classes=3),
    )


def test_null_parameters_are_as_none():
    document = envelope(ONE, data=[0] * 6, parameters=None) | {"parameters": None}
    document["outputs"] = [{"name": "logits", "parameters": None}]
    assert read(document).outputs == (OutputChoice(name="logits", binary=False),)


def test_an_input_without_values_is_told_so():
    for parameters in ({}, None):
        with pytest.raises(DataError, match="neither data nor binary_data_size"):
            read(envelope(ONE, parameters=parameters))


def test_an_unknown_output_is_refused_with_the_nearest_name():
    document = envelope(ONE, data=[0] * 6)
    document["outputs"] = [{"name": "score"}]
    with pytest.raises(DataError) as caught:
        read(document)
    assert caught.value.hint == "did you mean 'scores'?"
    document["outputs"] = [{"name": "scores"}, {"name": "scores"}]
    with pytest.raises(DataError, match="twice"):
        read(document)
