import numpy as np
import onnx
import pytest
from msgspec.structs import replace

from diptych.measure.machine import describe
from diptych.targets.nearest import QUANTIZERS, quantize_nearest
from diptych.targets.running import answers

pytestmark = pytest.mark.slow
CUTTING = replace(describe(), flags=("avx2", "fma", "avx512f"))
WHOLE = replace(describe(), flags=("avx2", "fma", "avx_vnni"))


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


def test_narrow_weights_have_7_bits_in_every_layer(trained, exported):
    files = QUANTIZERS["onnxruntime"](exported, trained.train, narrow=True)
    graph = onnx.load_from_string(files["model.onnx"]).graph
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
    weights = [a for a in arrays if a.dtype == np.int8 and a.ndim > 1]
    assert [np.abs(levels.astype(int)).max() for levels in weights] == [64] * 4
