"""The protocol's own client against a real server, with answers that are known."""

import asyncio
import json
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit, softmax
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from diptych.core.errors import DataError
from diptych.inference.bundle import load
from diptych.serving.infer import infer, metadata, offered
from diptych.serving.messages import Request, failure


@pytest.fixture
def client(running) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(running.address) as opened:
        yield opened


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 4, 6, 3), np.uint8)


def request(body: bytes) -> Request:
    async def receive() -> dict:
        raise AssertionError

    return Request(headers={}, body=body, client="", receive=receive)


def tensor_of(batch: np.ndarray, binary: bool) -> triton.InferInput:
    tensor = triton.InferInput("pixels", list(batch.shape), "UINT8")
    tensor.set_data_from_numpy(batch, binary_data=binary)
    return tensor


def test_the_client_finds_the_server_and_the_model_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("colors")
    assert client.is_model_ready("colors", "1")
    assert not client.is_model_ready("shapes")


def test_the_metadata_say_what_goes_in_and_out(client):
    assert client.get_server_metadata()["name"] == "diptych"
    described = client.get_model_metadata("colors", "1")
    assert described["versions"] == ["1"]
    assert described["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 4, 6, 3]}]
    assert [(item["name"], item["shape"]) for item in described["outputs"]] == [
        ("logits", [-1, 3]),
        ("scores", [-1, 3]),
    ]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_logits_and_scores_are_those_of_the_oracle(client, batch, oracle, binary_in, binary_out):
    names = ["scores", "logits"]
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names]
    result = client.infer(
        "colors", [tensor_of(batch, binary_in)], outputs=outputs, request_id="seven"
    )
    assert result.get_response()["id"] == "seven"
    assert [output["name"] for output in result.get_response()["outputs"]] == names
    np.testing.assert_allclose(result.as_numpy("logits"), oracle(batch), rtol=1e-5)
    np.testing.assert_allclose(result.as_numpy("scores"), softmax(oracle(batch), axis=1), rtol=1e-4)


def test_all_outputs_come_where_none_is_named(client, batch, oracle):
    result = client.infer("colors", [tensor_of(batch, True)], model_version="1")
    np.testing.assert_allclose(result.as_numpy("logits"), oracle(batch), rtol=1e-5)
    assert result.as_numpy("scores").shape == (5, 3)


def test_a_batch_that_runs_in_parts_is_whole_and_in_order(client, oracle):
    batch = np.random.default_rng(2).integers(0, 256, (100, 4, 6, 3), np.uint8)
    result = client.infer("colors", [tensor_of(batch, True)])
    np.testing.assert_allclose(result.as_numpy("logits"), oracle(batch), rtol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_classification_gives_the_largest_first(client, batch, oracle, binary):
    output = triton.InferRequestedOutput("logits", binary_data=binary, class_count=2)
    found = client.infer("colors", [tensor_of(batch, True)], outputs=[output]).as_numpy("logits")
    assert found.shape == (5, 2)
    expected = oracle(batch)
    for row, logits in zip(found, expected, strict=True):
        texts = [text.decode() if binary else text for text in row]
        order = np.argsort(-logits)[:2]
        assert [int(text.split(":")[1]) for text in texts] == list(order)
        assert float(texts[0].split(":")[0]) == pytest.approx(logits.max(), rel=1e-4)


def test_the_client_is_told_what_was_wrong(client, batch):
    with pytest.raises(InferenceServerException, match=r"shape \[5, 6, 4, 3\], not \[N, 4, 6, 3\]"):
        client.infer("colors", [tensor_of(batch.reshape(5, 6, 4, 3), True)])
    wrong = triton.InferInput("pixels", [5, 4, 6, 3], "FP32")
    wrong.set_data_from_numpy(batch.astype(np.float32))
    with pytest.raises(InferenceServerException, match="must be 'UINT8'"):
        client.infer("colors", [wrong])
    with pytest.raises(InferenceServerException, match="nothing is at"):
        client.infer("shapes", [tensor_of(batch, True)])
    with pytest.raises(InferenceServerException, match="compressed"):
        client.infer("colors", [tensor_of(batch, True)], request_compression_algorithm="gzip")


def test_more_items_than_a_request_may_have_are_refused(client):
    batch = np.zeros((1025, 4, 6, 3), np.uint8)
    with pytest.raises(InferenceServerException, match="1025 items"):
        client.infer("colors", [tensor_of(batch, True)])


def test_more_values_than_one_answer_may_hold_are_refused(bundle):
    labels = tuple(map(str, range(100_000)))
    many = SimpleNamespace(manifest=bundle.manifest, program=bundle.program, labels=labels)
    shape = [21, 4, 6, 3]
    data = np.zeros(shape, np.uint8).ravel().tolist()
    first = {"name": "pixels", "datatype": "UINT8", "shape": shape, "data": data}
    body = json.dumps({"inputs": [first]}).encode()
    with pytest.raises(DataError, match="2,100,000 values") as caught:
        asyncio.run(infer(request(body), "many", many))
    assert failure(caught.value).status == 400


@pytest.fixture(scope="module")
def kinds(start, kind_bundle) -> Iterator[triton.InferenceServerClient]:
    names = ["audio", "text", "table"]
    running = start(*(str(kind_bundle(name).path) for name in names))
    with triton.InferenceServerClient(running.address) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "datatype"), [("audio", "INT16"), ("text", "INT32"), ("table", "FP32")]
)
@pytest.mark.parametrize("binary", [True, False])
def test_each_type_of_tensor_is_answered_as_the_oracle_says(
    kinds, kind_bundle, name, datatype, binary
):
    kind, tensor = kind_bundle(name), kind_bundle(name).spec.tensor()
    (described,) = kinds.get_model_metadata(name)["inputs"]
    expected = {"name": tensor.name, "datatype": datatype, "shape": [-1, *tensor.shape[1:]]}
    assert described == expected
    sent = triton.InferInput(tensor.name, list(kind.inputs.shape), datatype)
    sent.set_data_from_numpy(kind.inputs, binary_data=binary)
    result = kinds.infer(name, [sent])
    outputs = kind.outputs(kind.inputs)
    np.testing.assert_allclose(result.as_numpy("logits"), outputs, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(result.as_numpy("scores"), softmax(outputs, axis=1), atol=1e-4)


def test_a_missing_number_is_nan_in_bytes_and_null_in_json(kinds, kind_bundle):
    rows = np.array([[np.nan, 2, 8.5], [3, 0, np.nan]], np.float32)
    sent = triton.InferInput("columns", [2, 3], "FP32")
    sent.set_data_from_numpy(rows)
    found = kinds.infer("table", [sent]).as_numpy("logits")
    np.testing.assert_allclose(found, kind_bundle("table").outputs(rows), rtol=1e-4)
    values = [[None, 2, 8.5], [3, 0, None]]
    document = {
        "inputs": [{"name": "columns", "datatype": "FP32", "shape": [2, 3], "data": values}]
    }
    with load(kind_bundle("table").path) as bundle:
        answer = asyncio.run(infer(request(json.dumps(document).encode()), "table", bundle))
    given = json.loads(answer.body)["outputs"][0]["data"]
    np.testing.assert_allclose(np.reshape(given, (2, 3)), found, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "batch", "message"),
    [
        ("text", np.full((1, 8), 30_000, np.int32), "token 30000 does not exist"),
        ("table", np.array([[1, 7, 1]], np.float32), "no category 7"),
    ],
)
def test_values_that_preparation_could_not_make_are_refused(kinds, name, batch, message):
    (described,) = kinds.get_model_metadata(name)["inputs"]
    batch = np.resize(batch, (1, *described["shape"][1:])).astype(batch.dtype)
    sent = triton.InferInput(described["name"], list(batch.shape), described["datatype"])
    sent.set_data_from_numpy(batch)
    with pytest.raises(InferenceServerException, match=message):
        kinds.infer(name, [sent])


def test_a_number_has_no_scores_and_several_labels_have_one_each(kind_bundle):
    for goal, names in (("regression", ("logits",)), ("multi-label", ("logits", "scores"))):
        kind = kind_bundle("audio", goal)
        data = kind.inputs[:1].ravel().tolist()
        first = {"name": "samples", "datatype": "INT16", "shape": [1, 2048], "data": data}
        body = json.dumps({"inputs": [first]}).encode()
        with load(kind.path) as bundle:
            assert offered(bundle) == names
            answer = asyncio.run(infer(request(body), "any", bundle))
        outputs = {one["name"]: one["data"] for one in json.loads(answer.body)["outputs"]}
        expected = kind.outputs(kind.inputs[:1])[0]
        np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-3, atol=1e-4)
        if goal == "multi-label":
            np.testing.assert_allclose(outputs["scores"], expit(expected), atol=1e-4)


def test_the_offered_tensors_are_the_programs_own_and_the_scores(bundle):
    assert offered(bundle) == ("logits", "scores")
    assert metadata("any", bundle)["platform"] == "diptych_onnxruntime"
