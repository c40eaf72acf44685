import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from diptych.core.errors import TargetError
from diptych.core.specs import TextSpec
from diptych.measure.machine import cuts_sums, describe
from diptych.targets.onnx import export
from diptych.targets.quantization import quantize_onnx

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quantized(trained, exported):
    return quantize_onnx(exported, trained.train)


def test_accuracy_stays_and_logits_move_little(trained, quantized, run_files):
    logits = run_files("onnxruntime", {"m.onnx": quantized}, trained.test)
    reference = trained.logits(trained.test)
    difference = np.abs(logits - reference) / np.ptp(reference)
    assert np.sqrt(np.square(difference).mean()) < 0.01
    assert difference.max() < (0.1 if cuts_sums(describe()) else 0.05)
    right = [(answer.argmax(1) == trained.labels).mean() for answer in (reference, logits)]
    assert abs(right[1] - right[0]) < 0.02


def test_a_weight_takes_a_byte(trained, quantized):
    weights = sum(parameter.numel() for parameter in trained.network.parameters())
    assert len(quantized) < weights + 8000
    large = [t for t in onnx.load_from_string(quantized).graph.initializer if np.prod(t.dims) > 99]
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.INT8}


def test_two_products_of_the_first_layer_fit_16_bits(quantized):
    graph = onnx.load_from_string(quantized).graph
    levels = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    layers = [node for node in graph.node if node.op_type in {"Conv", "Gemm"}]
    assert len(layers) == 4
    for layer, largest in zip(layers, (64, 127, 127, 127), strict=True):
        weights, scale = makers[layer.input[1]].input[:2]
        channels = levels[weights].reshape(len(levels[scale]), -1).astype(int)
        assert set(np.abs(channels).max(1)) <= {largest, largest - 1}  # each has its own scale
    assert 2 * 255 * 64 < 2**15


def test_pixels_are_scaled_and_logits_given_in_float(quantized):
    graph = onnx.load_from_string(quantized).graph
    makers = {name: node for node in graph.node for name in node.output}
    assert makers["logits"].op_type == "Gemm"
    scaling = [node for node in graph.node if node.op_type in {"Cast", "Sub", "Div"}]
    assert [node.op_type for node in scaling] == ["Cast", "Sub", "Div"]
    assert all(makers.get(name, scaling[0]) in graph.node for name in scaling[1].input)
    assert makers[scaling[2].input[0]].op_type == "Sub"


def test_zero_points_that_are_left_out_were_zero(trained, quantized, run_files):
    model = onnx.load_from_string(quantized)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    without = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    without = [node for node in without if len(node.input) == 2]
    layers = [node for node in model.graph.node if node.op_type == "Conv"]
    assert layers
    assert all(makers[each.input[1]] in without for each in layers)
    assert all(len(makers[name].input) == 3 for name in makers["logits"].input)
    for node in without:
        name = f"zero of {node.output[0]}"
        kind = onnx.helper.tensor_dtype_to_np_dtype(types[node.input[0]])
        zeros = np.zeros(sizes[node.input[1]], kind)
        model.graph.initializer.append(onnx.numpy_helper.from_array(zeros, name))
        node.input.append(name)
    both = ({"m.onnx": content} for content in (quantized, model.SerializeToString()))
    one, other = (run_files("onnxruntime", files, trained.test) for files in both)
    np.testing.assert_array_equal(one, other)


def test_biases_in_float_are_rounded_as_if_they_were_written_so(trained, quantized, run_files):
    model = onnx.load_from_string(quantized)
    graph, makers = model.graph, {node.output[0]: node for node in model.graph.node}
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = [node for node in graph.node if node.op_type == "Conv"]
    assert layers
    for number, layer in enumerate(layers):
        values, weights, bias = layer.input
        scale = arrays[makers[values].input[1]] * arrays[makers[weights].input[1]]
        levels = np.rint(arrays[bias] / scale).astype(np.int32)
        np.testing.assert_allclose(levels * scale, arrays[bias], rtol=1e-6)
        names = [f"levels {number}", f"scale {number}"]
        graph.initializer.extend(map(onnx.numpy_helper.from_array, (levels, scale), names))
        node = onnx.helper.make_node("DequantizeLinear", names, [f"bias {number}"], axis=0)
        graph.node.insert(0, node)
        layer.input[2] = f"bias {number}"
    both = ({"m.onnx": content} for content in (quantized, model.SerializeToString()))
    one, other = (run_files("onnxruntime", files, trained.test) for files in both)
    np.testing.assert_array_equal(one, other)


def test_the_same_arguments_give_the_same_bytes(trained, exported, quantized):
    assert quantize_onnx(exported, trained.train) == quantized


def test_nothing_is_printed_and_no_file_is_left(trained, exported, capfd, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    quantize_onnx(exported, trained.train[:16])
    assert capfd.readouterr() == ("", "")
    assert list(Path(tmp_path).iterdir()) == []


def test_too_few_items_are_refused(trained, exported):
    with pytest.raises(TargetError, match="15 calibration items"):
        quantize_onnx(exported, trained.train[:15])


def test_a_model_without_weights_is_refused(trained):
    make, types = onnx.helper, onnx.TensorProto
    node = make.make_node("Cast", ["pixels"], ["logits"], to=types.FLOAT)
    ends = [
        make.make_tensor_value_info(n, t, ["N", 8, 8, 1])
        for n, t in (("pixels", types.UINT8), ("logits", types.FLOAT))
    ]
    graph = make.make_graph([node], "g", ends[:1], ends[1:])
    with pytest.raises(TargetError, match="no layer with weights"):
        quantize_onnx(make.make_model(graph).SerializeToString(), trained.train)


class LookUp(torch.nn.Module):
    """Rows of a table, their mean, a layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(3000, 16)
        self.head = torch.nn.Linear(16, 4)

    def forward(self, tokens):
        return self.head(self.table(tokens.long()).mean(1))


def test_a_table_that_is_looked_up_takes_a_byte_per_number(run_files):
    network, spec = LookUp().eval(), TextSpec(tokens=8, vocabulary=3000).tensor()
    tokens = np.random.default_rng(0).integers(0, 3000, (64, 8), dtype=np.int32)
    quantized = quantize_onnx(export(network, spec), tokens)
    assert len(quantized) < 3000 * 16 + 8000
    logits = run_files("onnxruntime", {"m.onnx": quantized}, tokens)
    with torch.no_grad():
        reference = network(torch.from_numpy(tokens)).numpy()
    difference = np.abs(logits - reference) / np.ptp(reference)
    assert np.sqrt(np.square(difference).mean()) < 0.01
    assert difference.max() < (0.1 if cuts_sums(describe()) else 0.05)
