import copy

import numpy as np
import onnx
import pytest
import torch

from diptych.targets.guarding import Guard, fewest, quantize_guarded
from diptych.targets.nearest import quantize_nearest
from diptych.targets.onnx import export
from diptych.targets.quantization import Quantizer, quantize_onnx

pytestmark = pytest.mark.slow
FACTOR = 3000


@pytest.fixture(scope="module")
def spoiled(trained) -> bytes:
    """One channel fills the range of all, by a factor that cancels out in float."""
    network = copy.deepcopy(trained.network)
    with torch.no_grad():
        network.stem_norm.weight[2] *= FACTOR
        network.stem_norm.bias[2] *= FACTOR
        network.wide.weight[:, 2] /= FACTOR
    return export(network, trained.spec)


def lost(trained, outputs: np.ndarray) -> float:
    return float((trained.logits(trained.test).argmax(1) != outputs.argmax(1)).mean())


def in_int8(model: bytes) -> set[bytes]:
    """Give the weights that take a byte each."""
    tensors = onnx.load_from_string(model).graph.initializer
    return {tensor.raw_data for tensor in tensors if tensor.data_type == onnx.TensorProto.INT8}


def guard(trained, limit: float) -> Guard:
    return Guard(inputs=trained.test, excess=lambda outputs: lost(trained, outputs) - limit)


@pytest.mark.parametrize("limit", [0.02, 0.05])
def test_the_layers_that_do_the_damage_stay_in_float_and_the_limit_is_kept(
    trained, spoiled, run_files, limit
):
    plain = run_files(
        "onnxruntime", {"m.onnx": quantize_onnx(spoiled, trained.train)}, trained.test
    )
    assert lost(trained, plain) > 0.05
    found = quantize_guarded(spoiled, trained.train, guard(trained, limit))
    guarded = run_files("onnxruntime", {"m.onnx": found.content}, trained.test)
    assert lost(trained, guarded) <= limit
    assert "layer 2: Conv 32x16x3x3" in found.in_float
    assert 0 < len(found.in_float) < 4
    graph = onnx.load_from_string(found.content).graph
    in_float = [
        list(t.dims) for t in graph.initializer if t.data_type == 1 and np.prod(t.dims) > 99
    ]
    assert [32, 16, 3, 3] in in_float


def test_where_nothing_is_lost_every_layer_is_quantized(trained, exported):
    found = quantize_guarded(exported, trained.train, guard(trained, 0.05))
    assert found.in_float == ()
    assert found.content == quantize_nearest(exported, "onnxruntime", trained.train)["model.onnx"]


@pytest.mark.parametrize("narrow", [False, True])
def test_layers_have_as_many_bits_as_are_nearer_to_float(trained, spoiled, monkeypatch, narrow):
    chosen = lambda make, *_: (narrow, make(narrow=narrow))  # noqa: E731
    monkeypatch.setattr("diptych.targets.guarding.nearer", chosen)
    found = quantize_guarded(spoiled, trained.train, guard(trained, 0.02))
    with Quantizer(spoiled, trained.train) as quantizer:
        in_float = [quantizer.layers.index(layer) for layer in found.in_float]
        assert in_float
        assert found.content == quantizer.quantize(in_float, narrow=narrow)


def test_without_time_or_where_nothing_helps_there_is_no_program(trained, exported):
    assert quantize_guarded(exported, trained.train, guard(trained, -1.0)) is None
    late = Guard(inputs=trained.test, excess=lambda outputs: 0.0, go_on=lambda: False)
    assert quantize_guarded(exported, trained.train, late) is None


def test_ranges_are_had_once_and_a_layer_in_float_changes_no_other(trained, exported):
    with Quantizer(exported, trained.train) as quantizer:
        first = quantizer.quantize()
        other = quantizer.quantize([1])
        assert quantizer.quantize() == first == quantize_onnx(exported, trained.train)
    assert quantizer.layers == (
        "layer 1: Conv 16x1x3x3",
        "layer 2: Conv 32x16x3x3",
        "layer 3: Conv 32x32x3x3",
        "layer 4: Gemm 10x32",
    )
    assert quantizer.weights == (144, 4608, 9216, 320)
    weights = [
        {
            bytes(t.raw_data)
            for t in onnx.load_from_string(model).graph.initializer
            if t.data_type == 3
        }
        for model in (first, other)
    ]
    assert weights[1] < weights[0]


@pytest.mark.parametrize(
    ("least", "most"), [(n, m) for m in (0, 1, 2, 7, 32) for n in range(m + 2)]
)
def test_the_smallest_number_is_found_by_halving(least, most):
    asked = []

    def fits(count):
        asked.append(count)
        return count >= least

    assert fewest(fits, most) == (least if least <= most else None)
    assert len(asked) <= 2 + max(1, most).bit_length()
