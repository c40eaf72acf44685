"""Oracle: OpenVINO itself, reading the graph before and after."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from diptych.inference.runtimes.telemetry import no_telemetry
from diptych.targets.ir import compact_ir, with_hint

PIXELS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def openvino():
    with no_telemetry():
        return pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def saved(openvino, tmp_path_factory):
    """Save a graph with two equal constants and notes on how it was made."""
    ops = openvino.opset13
    pixels = ops.parameter([-1, 3], np.float32, name="pixels")
    pixels.output(0).get_tensor().set_names({"pixels"})
    row = [np.float32([1, 2, 3]) for _ in range(2)]
    result = ops.multiply(ops.add(pixels, ops.constant(row[0])), ops.constant(row[1]))
    result = ops.relu(ops.subtract(result, ops.constant(np.float32([4, 5, 6]))))
    result.output(0).get_tensor().set_names({"logits"})
    model = openvino.Model([result], [pixels], "m")
    model.set_rt_info("/home/someone", ["made", "where"])
    path = tmp_path_factory.mktemp("ir") / "m.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def test_a_smaller_graph_computes_the_same(openvino, saved):
    graph, weights = saved
    small = compact_ir(graph)
    assert len(small) < 0.7 * len(graph)
    answers = [
        openvino.Core().compile_model(openvino.Core().read_model(xml, weights), "CPU")(PIXELS)[0]
        for xml in (graph, small)
    ]
    np.testing.assert_array_equal(answers[1], answers[0])
    row = np.float32([1, 2, 3])
    np.testing.assert_allclose(answers[1], np.maximum((PIXELS + row) * row - [4, 5, 6], 0))


def test_names_and_shapes_of_inputs_and_outputs_stay(openvino, saved):
    model = openvino.Core().read_model(compact_ir(saved[0]), saved[1])
    assert model.input(0).get_names() == {"pixels"}
    assert model.output(0).get_names() == {"logits"}
    assert str(model.input(0).get_partial_shape()) == "[?,3]"
    assert str(model.output(0).get_partial_shape()) == "[?,3]"


def test_equal_constants_are_stored_once_and_notes_go(saved):
    before, after = (ET.fromstring(xml) for xml in (saved[0], compact_ir(saved[0])))
    constants = [len(root.findall(".//layer[@type='Const']")) for root in (before, after)]
    assert constants == [3, 2]
    assert b"someone" in saved[0]
    assert b"someone" not in compact_ir(saved[0])


def test_a_small_graph_stays_as_it_is(saved):
    small = compact_ir(saved[0])
    assert compact_ir(small) == small


def test_a_graph_that_notes_a_precision_is_read_with_it_and_computes_the_same(openvino, saved):
    small = compact_ir(saved[0])
    model = openvino.Core().read_model(with_hint(small), saved[1])
    assert model.get_rt_info(["runtime_options", "INFERENCE_PRECISION_HINT"]).astype(str) == "bf16"
    answers = [
        openvino.Core().compile_model(openvino.Core().read_model(xml, saved[1]), "CPU")(PIXELS)[0]
        for xml in (small, with_hint(small))
    ]
    np.testing.assert_array_equal(answers[1], answers[0])


def test_the_numbers_inside_of_a_loop_are_its_own():
    constant = '<layer id="{}" type="Const"><data offset="0" size="4"/></layer>'
    inner = '<body><layers/><edges><edge from-layer="2" to-layer="3"/></edges></body>'
    layers = constant.format(1) + constant.format(2) + f'<layer id="4" type="Loop">{inner}</layer>'
    edges = '<edge from-layer="1" to-layer="4"/><edge from-layer="2" to-layer="4"/>'
    graph = f"<net><layers>{layers}</layers><edges>{edges}</edges></net>"
    small = ET.fromstring(compact_ir(graph.encode()))
    assert [edge.get("from-layer") for edge in small.iterfind("edges/edge")] == ["1", "1"]
    assert [edge.get("from-layer") for edge in small.iter("edge")].count("2") == 1
