"""ONNX Runtime behind its door."""

import numpy as np
import pytest

from diptych.core.errors import BundleError
from diptych.inference.runtimes import open_session

onnx = pytest.importorskip("onnx")
helper, types = onnx.helper, onnx.TensorProto


@pytest.fixture
def write(tmp_path):
    def save(data: bytes):
        (tmp_path / "model.onnx").write_bytes(data)
        return [tmp_path / "model.onnx"]

    return save


def test_it_computes_what_numpy_computes(tiny, write):
    session = open_session("onnxruntime", write(tiny.contents["model.onnx"]), threads=2)
    np.testing.assert_allclose(
        session.run(tiny.inputs), tiny.logits(tiny.inputs), rtol=1e-4, atol=1e-4
    )
    session.close()


@pytest.mark.parametrize("data", [b"", b"\x80\x04\x95.", b"\0\0\0\0ORTM" + bytes(64), b"\x3a\x00"])
def test_what_is_no_model_is_refused(write, data):
    with pytest.raises(BundleError):
        open_session("onnxruntime", write(data))


def test_weights_in_another_file_are_refused_even_beside_the_model(tiny, write, tmp_path):
    model = onnx.ModelProto.FromString(tiny.contents["model.onnx"])
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="weights.bin", size_threshold=0
    )
    onnx.save(model, tmp_path / "model.onnx")
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(BundleError, match="another file"):
        open_session("onnxruntime", [tmp_path / "model.onnx"])


def simple(dtype: int, num_outputs: int = 1):
    pixels = helper.make_tensor_value_info("x", dtype, ["N", 8, 8, 3])
    outputs = [helper.make_tensor_value_info(f"y{n}", dtype, None) for n in range(num_outputs)]
    nodes = [helper.make_node("Identity", ["x"], [f"y{n}"]) for n in range(num_outputs)]
    graph = helper.make_graph(nodes, "g", [pixels], outputs)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return made.SerializeToString()


def test_a_model_with_another_signature_is_refused(write):
    with pytest.raises(BundleError, match="one input and one output"):
        open_session("onnxruntime", write(simple(types.UINT8, num_outputs=2)))
    with pytest.raises(BundleError, match="must take one of tensor"):
        open_session("onnxruntime", write(simple(types.DOUBLE)))


def test_a_batch_of_another_type_than_the_model_takes_is_one_error(write):
    session = open_session("onnxruntime", write(simple(types.FLOAT)))
    with pytest.raises(BundleError, match="cannot run"):
        session.run(np.zeros((1, 8, 8, 3), np.uint8))


def test_a_batch_that_the_model_cannot_take_is_one_error(tiny, write):
    session = open_session("onnxruntime", write(tiny.contents["model.onnx"]))
    with pytest.raises(BundleError, match="cannot run"):
        session.run(np.zeros((1, 9, 9, 4), np.uint8))


def test_a_model_that_gives_something_else_than_float32_is_refused(write):
    numbers = helper.make_tensor_value_info("x", types.FLOAT, ["N", 4])
    made = {
        "SequenceConstruct": helper.make_tensor_sequence_value_info("y", types.FLOAT, None),
        "IsNaN": helper.make_tensor_value_info("y", types.BOOL, ["N", 4]),
    }
    for step, output in made.items():
        graph = helper.make_graph([helper.make_node(step, ["x"], ["y"])], "g", [numbers], [output])
        versions = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=10)
        with pytest.raises(BundleError, match=r"model\.onnx must give float32"):
            open_session("onnxruntime", write(model.SerializeToString()))
