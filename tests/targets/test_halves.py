"""Oracle: the same network with its weights rounded to float16 by torch."""

import copy

import numpy as np
import onnx
import torch

from diptych.targets.halves import store_halves
from diptych.targets.onnx import export


def run(content, pixels, run_files):
    return run_files("onnxruntime", {"m.onnx": content}, pixels)


def test_a_program_takes_half_the_bytes_and_computes_with_weights_of_11_bits(
    trained, exported, run_files
):
    halved = store_halves(exported)
    assert len(halved) < 0.6 * len(exported)
    logits = run(halved, trained.test, run_files)
    reference = trained.logits(trained.test)
    assert 0 < np.abs(logits - reference).max() < 2e-3 * np.ptp(reference)


def test_weights_are_those_that_torch_rounds_to_float16(trained, run_files):
    plain = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))

    class Pixels(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, pixels):
            return self.inner(pixels.float() / 255)

    halved = store_halves(export(Pixels(plain).eval(), trained.spec))
    rounded = copy.deepcopy(plain)
    rounded[1].weight.data = rounded[1].weight.data.half().float()
    with torch.no_grad():
        expected = Pixels(rounded)(torch.from_numpy(trained.test)).numpy()
    np.testing.assert_allclose(run(halved, trained.test, run_files), expected, atol=1e-5)


def test_what_float16_cannot_hold_and_what_is_small_stay_as_they_are(exported):
    model = onnx.load_from_string(exported)
    large = next(t for t in model.graph.initializer if np.prod(t.dims) >= 64)
    numbers = onnx.numpy_helper.to_array(large).copy()
    numbers.flat[0] = 7e4
    large.CopyFrom(onnx.numpy_helper.from_array(numbers, large.name))
    halved = onnx.load_from_string(store_halves(model.SerializeToString())).graph.initializer
    kept = [t for t in halved if t.data_type == onnx.TensorProto.FLOAT]
    assert any(np.array_equal(onnx.numpy_helper.to_array(t), numbers) for t in kept)
    assert all(np.prod(t.dims) < 64 or tuple(t.dims) == numbers.shape for t in kept)


def test_the_same_model_gives_the_same_bytes_and_is_not_changed(exported):
    before = bytes(exported)
    assert store_halves(exported) == store_halves(exported)
    assert exported == before
