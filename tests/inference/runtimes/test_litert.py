"""LiteRT behind its door, with models of one step that are written here."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from diptych.core.errors import BundleError
from diptych.inference.runtimes import open_session

pytest.importorskip("ai_edge_litert", reason="the extra edge is not installed")

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

FLOAT, INT8, INT32, BOOL = (
    getattr(schema.TensorType, name) for name in ("FLOAT32", "INT8", "INT32", "BOOL")
)
SCALE, ZERO = 0.5, 3


def tensor(kind: int) -> object:
    made = schema.TensorT()
    made.shape, made.type, made.name = [1, 4], kind, b"numbers"
    if kind == INT8:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [SCALE], [ZERO]
    return made


def model(step: str = "RELU", kind: int = FLOAT, outputs: int = 1) -> bytes:
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = getattr(schema.BuiltinOperator, step)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    operator.inputs, operator.outputs = [0], [1]
    graph, made = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators = [tensor(kind), tensor(kind)], [operator]
    graph.inputs, graph.outputs = [0], [1] * outputs
    made.version, made.operatorCodes, made.subgraphs = 3, [code], [graph]
    made.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder()
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture
def opened(tmp_path):
    def write_and_open(content: bytes):
        (tmp_path / "model.tflite").write_bytes(content)
        return open_session("litert", [tmp_path / "model.tflite"])

    return write_and_open


def test_each_input_of_a_batch_is_answered_in_memory_of_its_own(opened):
    session = opened(model())
    rng, answers, given = np.random.default_rng(0), [], []
    for count in (1, 5, 1, 2):
        given.append(rng.normal(size=(count, 4)).astype(np.float32))
        answers.append(session.run(given[-1]))
    for numbers, answer in zip(given, answers, strict=True):
        np.testing.assert_array_equal(answer, np.maximum(numbers, 0))
        assert answer.dtype == np.float32


def test_numbers_become_levels_and_levels_numbers(opened):
    numbers = np.array([[-1.3, 0.2, 0.3, 1e4]], np.float32)
    top = (127 - ZERO) * SCALE
    np.testing.assert_array_equal(opened(model(kind=INT8)).run(numbers), [[0, 0, 0.5, top]])


def test_threads_get_their_own_answers(opened):
    session = opened(model())
    given = [np.full((3, 4), number, np.float32) for number in range(64)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(session.run, given))
    np.testing.assert_array_equal(answers, given)


def test_nothing_is_printed(opened, capfd):
    opened(model()).close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "numbers", [np.zeros((1, 5), np.float32), np.zeros((1, 4), np.uint8), np.zeros((0, 4))]
)
def test_another_batch_than_it_takes_is_one_error(opened, numbers):
    with pytest.raises(BundleError, match="LiteRT cannot run the program"):
        opened(model()).run(numbers)


def test_what_is_no_model_is_refused(opened):
    for content in (b"", b"GIF89a", model()[:40], model()[: len(model()) // 2]):
        with pytest.raises(BundleError, match=r"model\.tflite") as told:
            opened(content)
        assert "\n" not in told.value.message


def test_a_step_that_this_litert_lacks_is_named(opened):
    with pytest.raises(BundleError, match="STABLEHLO_SORT"):
        opened(model("STABLEHLO_SORT"))


def test_another_signature_is_refused(opened):
    with pytest.raises(BundleError, match="one input and one output"):
        opened(model(outputs=2))
    with pytest.raises(BundleError, match="must take one of uint8"):
        opened(model("LOGICAL_NOT", BOOL))
    with pytest.raises(BundleError, match="must give float32"):
        opened(model("ABS", INT32))


def test_standard_error_is_heard_again_after_threads_opened_programs_at_once(opened, tmp_path):
    opened(model())
    before = os.fstat(2)
    paths = [[tmp_path / "model.tflite"]] * 64
    with ThreadPoolExecutor(4) as pool:
        for session in pool.map(open_session, ["litert"] * 64, paths):
            session.close()
    assert os.path.samestat(before, os.fstat(2))


def test_a_closed_program_says_so_and_may_be_closed_again(opened):
    session = opened(model())
    for _ in range(2):
        session.close()
    with pytest.raises(BundleError, match="was closed"):
        session.run(np.zeros((1, 4), np.float32))
