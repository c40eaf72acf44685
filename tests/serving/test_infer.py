"""The protocol's own client against a real server, with answers that are known."""

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.special import softmax
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from diptych.serving.infer import metadata, offered


@pytest.fixture
def client(running) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(running.address) as opened:
        yield opened


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 4, 6, 3), np.uint8)


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


def test_the_offered_tensors_are_the_programs_own_and_the_scores(bundle):
    assert offered(bundle) == ("logits", "scores")
    assert metadata("any", bundle)["platform"] == "diptych_onnxruntime"
