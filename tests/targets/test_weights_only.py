"""Oracles: a naive rounding, block by block, and the program computed in NumPy."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import TargetError
from diptych.targets.weights_only import BLOCK, linear_weights, round_blocks, round_weights

TYPES = onnx.TensorProto


def restored(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Round and restore rows (N, K)."""
    blocks = round_blocks(numbers, bits)
    levels = blocks.levels - blocks.zeros[:, :, None].astype(np.float32)
    return (levels * blocks.scales[:, :, None]).reshape(len(numbers), -1)[:, : numbers.shape[1]]


@given(st.integers(1, 4), st.integers(1, 80), st.sampled_from([4, 8]), st.integers(0, 999))
def test_a_number_is_off_by_half_a_step_of_its_own_block_at_most(rows, width, bits, seed):
    numbers = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    back = restored(numbers, bits)
    for row in range(rows):
        for start in range(0, width, BLOCK):
            block = numbers[row, start : start + BLOCK]
            step = (max(block.max(), 0) - min(block.min(), 0)) / (2**bits - 1)
            off = np.abs(block - back[row, start : start + BLOCK]).max()
            assert off <= step * 1.001 + 1e-7  # half for the number, half for the zero


def test_zeros_stay_zeros_and_a_block_of_them_has_no_scale_of_zero():
    numbers = np.zeros((2, 40), np.float32)
    numbers[0, 3] = -5
    blocks = round_blocks(numbers, 4)
    assert (blocks.scales > 0).all()
    np.testing.assert_allclose(restored(numbers, 4), numbers, atol=1e-6)


def layers(vocabulary: int, width: int, outputs: int, seed: int = 0) -> tuple[bytes, dict]:
    """Make a table, a product in each form, and outputs: int32 (N, 4) to float32 (N, K)."""
    rng, make = np.random.default_rng(seed), onnx.helper
    held = {
        "table": rng.normal(size=(vocabulary, width)).astype(np.float32),
        "wide": rng.normal(size=(width, 96)).astype(np.float32),
        "head": rng.normal(size=(outputs, 96)).astype(np.float32),
        "bias": rng.normal(size=outputs).astype(np.float32),
    }
    nodes = [
        make.make_node("Gather", ["table", "tokens"], ["rows"]),
        make.make_node("MatMul", ["rows", "wide"], ["products"]),
        make.make_node("ReduceMean", ["products", "axes"], ["means"], keepdims=0),
        make.make_node("Gemm", ["means", "head", "bias"], ["logits"], transB=1),
    ]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in held.items()]
    constants.append(onnx.numpy_helper.from_array(np.array([1]), "axes"))
    tokens = make.make_tensor_value_info("tokens", TYPES.INT32, ["N", 4])
    logits = make.make_tensor_value_info("logits", TYPES.FLOAT, ["N", outputs])
    graph = make.make_graph(nodes, "layers", [tokens], [logits], constants)
    opsets = [make.make_opsetid("", 18)]
    return make.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString(), held


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("width", [48, 64, 67])
def test_a_program_computes_with_the_rounded_weights(run_files, bits, width):
    model, held = layers(300, width, 50)
    rounded = round_weights(model, bits)
    tokens = np.random.default_rng(1).integers(0, 300, (5, 4)).astype(np.int32)
    table = held["table"] if bits == 4 and width % 2 else restored(held["table"], bits)
    rows = table[tokens]
    means = (rows @ restored(held["wide"].T, bits).T).mean(1)
    expected = means @ restored(held["head"], bits).T + held["bias"]
    logits = run_files("onnxruntime", {"m.onnx": rounded}, tokens)
    # kernels may round the other side of a product to 8 bits
    np.testing.assert_allclose(logits, expected, atol=0.015 * np.ptp(expected))


@pytest.mark.parametrize(("bits", "share"), [(4, 0.22), (8, 0.35)])
def test_a_number_takes_its_bits_and_its_part_of_a_scale(bits, share):
    model, _ = layers(3000, 64, 50)
    assert len(round_weights(model, bits)) < share * len(model)


def test_small_layers_stay_in_float(run_files):
    model, _ = layers(3000, 64, 5)
    graph = onnx.load_from_string(round_weights(model, 4)).graph
    assert [node.op_type for node in graph.node][-1] == "Gemm"


def test_weights_of_linear_layers_and_tables_are_counted_if_they_fill_blocks(exported):
    assert linear_weights(layers(300, 64, 50)[0]) == 300 * 64 + 64 * 96 + 50 * 96
    assert linear_weights(layers(300, 64, 5)[0]) == 300 * 64 + 64 * 96
    assert linear_weights(layers(3000, 31, 50)[0]) == 50 * 96
    assert linear_weights(exported) == 0


def test_rows_that_are_no_block_stay_in_float():
    model, _ = layers(3000, 31, 50)
    graph = onnx.load_from_string(round_weights(model, 8)).graph
    assert [node.op_type for node in graph.node][:2] == ["Gather", "MatMul"]


def test_without_such_layers_nothing_is_rounded(exported):
    with pytest.raises(TargetError, match="no linear layer or table"):
        round_weights(exported, 4)


def test_the_same_model_gives_the_same_bytes():
    model, _ = layers(300, 64, 50)
    assert round_weights(model, 4) == round_weights(model, 4)
