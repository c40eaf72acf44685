"""Oracle: the network in torch, for every conversion of the table."""

import numpy as np
import onnx
import pytest
import torch

from diptych.core.specs import TextSpec
from diptych.targets import RESERVE
from diptych.targets.onnx import export
from diptych.targets.precisions import LARGE, UNCALIBRATED, is_worthwhile
from diptych.training.models.transformer import Transformer, TransformerConfig

SPEC = TextSpec(tokens=12, vocabulary=900)
SHARES = {"fp16": 0.002, "bf16": 0.03, "int8-weights": 0.03, "int4-weights": 0.25}
SIZES = {"fp16": 0.6, "bf16": 0.6, "int8-weights": 0.4, "int4-weights": 0.3}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Transformer(TransformerConfig(width=128, layers=1, hidden=512), SPEC, 4).eval()


@pytest.fixture(scope="module")
def model(network):
    return export(network, SPEC.tensor())


@pytest.mark.slow
@pytest.mark.parametrize("choice", UNCALIBRATED, ids=" ".join)
def test_every_conversion_is_smaller_and_computes_what_the_network_computes(
    network, model, run_files, choice
):
    runtime, precision = choice
    pytest.importorskip(runtime)
    files = UNCALIBRATED[choice](model)
    assert sum(map(len, files.values())) < SIZES[precision] * len(model)
    tokens = np.random.default_rng(0).integers(1, 900, (16, 12)).astype(np.int32)
    with torch.no_grad():
        reference = network(torch.from_numpy(tokens)).numpy()
    difference = np.abs(run_files(runtime, files, tokens) - reference).max()
    assert 0 < difference < SHARES[precision] * np.ptp(reference)


def test_whatever_is_in_reserve_can_be_made():
    assert {choice for choices in RESERVE.values() for choice in choices} <= set(UNCALIBRATED)
    assert set(RESERVE["cpu-portable"]) <= {("onnxruntime", "fp16")}  # no operators but ONNX's


def test_weights_alone_are_rounded_only_where_there_are_many(exported):
    def with_table(rows):
        table = np.zeros((rows, 1000), np.float32)
        node = onnx.helper.make_node("Gather", ["table", "x"], ["y"])
        held = [onnx.numpy_helper.from_array(table, "table")]
        graph = onnx.helper.make_graph([node], "g", [], [], held)
        return onnx.helper.make_model(graph).SerializeToString()

    for precision in ("int8-weights", "int4-weights"):
        assert is_worthwhile(with_table(LARGE // 1000), precision)
        assert not is_worthwhile(with_table(LARGE // 1000 - 1), precision)
        assert not is_worthwhile(exported, precision)
    for precision in ("fp16", "bf16"):
        assert is_worthwhile(exported, precision)
