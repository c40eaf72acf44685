"""Oracle: LiteRT itself, before and after, on a layer in int8 that is written here."""

import numpy as np
import pytest

from diptych.inference.runtimes import open_session

pytest.importorskip("ai_edge_litert", reason="the extra edge is not installed")

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from diptych.targets.lean import lean

INPUTS, OUTPUTS = 12, 40


def model(seed: int = 0) -> bytes:
    """Write one layer, twice, each with a scale per channel, with all that tools add to it."""
    rng = np.random.default_rng(seed)
    graph, made = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, made.buffers = [], [], [schema.BufferT()]

    def tensor(shape, kind, scales=(), data=None):
        each = schema.TensorT()
        each.shape, each.type = list(shape), getattr(schema.TensorType, kind)
        each.name = f"a.module.of.a.long/name;and.another;{len(graph.tensors)}".encode()
        if len(scales):
            each.quantization = schema.QuantizationParametersT()
            each.quantization.scale = np.asarray(scales, np.float32)
            each.quantization.zeroPoint = np.zeros(len(scales), np.int64)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            each.buffer = len(made.buffers)
            made.buffers.append(buffer)
        graph.tensors.append(each)
        return len(graph.tensors) - 1

    places = [tensor((1, INPUTS), "INT8", [0.05])]
    for wide, narrow in ((OUTPUTS, INPUTS), (OUTPUTS, OUTPUTS)):
        scales = rng.uniform(0.001, 0.01, wide)
        levels = rng.integers(-127, 128, (wide, narrow)).astype(np.int8)
        biases = rng.integers(-999, 999, wide).astype(np.int32)
        held = graph.tensors[places[-1]].quantization.scale[0]
        weights = tensor((wide, narrow), "INT8", scales, levels)
        bias = tensor((wide,), "INT32", held * scales, biases)
        step = schema.OperatorT()
        step.inputs = [places[-1], weights, bias]
        places.append(tensor((1, wide), "INT8", [0.07]))
        step.outputs = [places[-1]]
        step.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        step.builtinOptions = schema.FullyConnectedOptionsT()
        graph.operators.append(step)
    graph.inputs, graph.outputs = [places[0]], [places[-1]]
    code, said = schema.OperatorCodeT(), schema.MetadataT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    said.name, said.buffer = b"what a tool says of itself", len(made.buffers)
    made.buffers.append(schema.BufferT())
    made.buffers[-1].data = np.zeros(500, np.uint8)
    made.version, made.operatorCodes, made.subgraphs, made.metadata = 3, [code], [graph], [said]
    made.description = b"described at length"
    builder = flatbuffers.Builder()
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def answers(content: bytes, inputs: np.ndarray, folder) -> np.ndarray:
    (folder / "model.tflite").write_bytes(content)
    session = open_session("litert", [folder / "model.tflite"])
    outputs = session.run(inputs)
    session.close()
    return outputs


@pytest.mark.parametrize("seed", [0, 1])
def test_a_lean_program_answers_the_same_and_says_less(seed, tmp_path):
    content = model(seed)
    smaller = lean(content)
    inputs = np.random.default_rng(9).normal(0, 3, (50, INPUTS)).astype(np.float32)
    before = answers(content, inputs, tmp_path)
    assert len(np.unique(before)) > 20
    np.testing.assert_array_equal(answers(smaller, inputs, tmp_path), before)
    zeros = 8 * (4 * OUTPUTS + 3) - 8 * (OUTPUTS + 1)  # of two weights, two biases, three values
    assert len(content) - len(smaller) > zeros + 500
    for said in (b"described", b"says of itself", b"tensor-2", b"another;2"):
        assert said not in smaller
    assert b"another;0" in smaller  # the input's name


def test_what_is_lean_stays_as_it_is():
    once = lean(model())
    assert lean(once) == once
