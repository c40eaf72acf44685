import numpy as np
import onnx
import pytest
from msgspec.structs import replace

from diptych.measure.machine import describe
from diptych.targets.nearest import QUANTIZERS, quantize_nearest
from diptych.targets.running import answers

pytestmark = pytest.mark.slow
X86 = "Linux 6.1 x86_64"
CUTTING = replace(describe(), system=X86, flags=("avx2", "fma", "avx512f"))
WHOLE = replace(describe(), system=X86, flags=("avx2", "fma", "avx_vnni"))


@pytest.mark.parametrize("runtime", QUANTIZERS)
def test_only_where_sums_are_cut_the_nearer_of_two_programs_is_chosen(trained, exported, runtime):
    make = QUANTIZERS[runtime]
    both = [make(exported, trained.train, narrow=narrow) for narrow in (False, True)]
    assert both[0] != both[1]
    assert quantize_nearest(exported, runtime, trained.train, WHOLE) == both[0]
    reference = trained.logits(trained.train[:128])
    far = [
        np.square(answers(runtime, files, trained.train[:128]) - reference).mean() for files in both
    ]
    found = quantize_nearest(exported, runtime, trained.train, CUTTING)
    assert found == both[int(far[1] < far[0])]


def test_narrow_weights_have_7_bits_in_every_layer_and_a_scale_per_channel(trained, exported):
    files = QUANTIZERS["onnxruntime"](exported, trained.train, narrow=True)
    graph = onnx.load_from_string(files["model.onnx"]).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    taken = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in arrays]
    held = [(arrays[node.input[0]], arrays[node.input[1]]) for node in taken]
    weights = [(levels, scale) for levels, scale in held if levels.ndim > 1]
    assert len(weights) == 4
    for levels, scale in weights:
        assert len(scale) == len(levels)
        assert set(np.abs(levels.reshape(len(levels), -1).astype(int)).max(1)) <= {63, 64}


@pytest.mark.parametrize("best", [False, True])
def test_the_nearer_program_is_taken_whichever_it_is(monkeypatch, best):
    outputs = {"model": 0.0, "near": 0.1, "far": -0.5}
    names = {best: "near", not best: "far"}
    monkeypatch.setattr(
        "diptych.targets.nearest.answers",
        lambda runtime, files, items: np.full((len(items), 2), outputs[files["model.onnx"]]),
    )
    make = lambda model, items, *, narrow: {"model.onnx": names[narrow]}  # noqa: E731
    monkeypatch.setitem(QUANTIZERS, "onnxruntime", make)
    items = np.zeros((20, 3))
    assert quantize_nearest("model", "onnxruntime", items, CUTTING) == {"model.onnx": "near"}
    assert quantize_nearest("model", "onnxruntime", items, WHOLE) == {"model.onnx": names[False]}
