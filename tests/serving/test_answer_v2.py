"""Answers, read back by hand as the protocol's binary extension says."""

import json
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diptych.serving.answer_v2 import encode, server_metadata
from diptych.serving.protocol_v2 import InferRequest, OutputChoice

LABELS = ("a", "b", "ç")
EMPTY = np.zeros((1, 1, 1, 1), np.uint8)
choices = st.lists(
    st.builds(
        OutputChoice,
        name=st.sampled_from(["logits", "scores"]),
        binary=st.booleans(),
        classes=st.integers(0, 5),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda choice: choice.name,
)


def tensors(seed: int, num_items: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shape = (num_items, len(LABELS))
    return {name: generator.normal(size=shape).astype(np.float32) for name in ("logits", "scores")}


def values(output: dict, tail: bytes) -> tuple[list, bytes]:
    size = output.get("parameters", {}).get("binary_data_size")
    if size is None:
        return output["data"], tail
    data, tail = tail[:size], tail[size:]
    assert len(data) == size
    if output["datatype"] == "FP32":
        return np.frombuffer(data, "<f4").tolist(), tail
    texts = []
    while data:
        (length,) = struct.unpack("<I", data[:4])
        texts.append(data[4 : 4 + length].decode())
        data = data[4 + length :]
    return texts, tail


@given(choices, st.integers(1, 4), st.integers(0, 99))
def test_what_is_written_can_be_read_back(outputs, num_items, seed):
    given_tensors = tensors(seed, num_items)
    asked = InferRequest(batch=EMPTY, outputs=tuple(outputs), id="x")
    response = encode(asked, "m", given_tensors, LABELS)
    length = dict(response.headers).get(b"inference-header-content-length")
    split = len(response.body) if length is None else int(length)
    assert (length is not None) == any(choice.binary for choice in outputs)
    answer, tail = json.loads(response.body[:split]), response.body[split:]
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("m", "1", "x")
    for choice, output in zip(outputs, answer["outputs"], strict=True):
        found, tail = values(output, tail)
        array = given_tensors[choice.name]
        assert output["name"] == choice.name
        if choice.classes:
            count = min(choice.classes, len(LABELS))
            order = np.argsort(-array, axis=1)[:, :count]
            expected = [f"{i}:{LABELS[i]}" for i in order.ravel()]
            assert output["shape"] == [num_items, count]
            assert [text.split(":", 1)[1] for text in found] == expected
        else:
            assert output["shape"] == list(array.shape)
            assert found == array.ravel().tolist()
    assert tail == b""


def test_no_id_is_given_where_none_was_sent():
    asked = InferRequest(batch=EMPTY, outputs=(OutputChoice(name="logits", binary=False),))
    assert "id" not in json.loads(encode(asked, "m", tensors(0, 1), LABELS).body)


def test_the_server_names_its_extensions():
    assert "binary_tensor_data" in server_metadata()["extensions"]
