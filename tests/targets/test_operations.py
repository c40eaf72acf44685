import pytest
import torch
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from diptych.core.specs import TensorSpec
from diptych.targets.onnx import export
from diptych.targets.operations import kept_operations


def test_one_table_serves_all_exports_and_others_make_their_own() -> None:
    with kept_operations():
        first, second = ONNXRegistry().from_torchlib(), ONNXRegistry().from_torchlib()
    other = ONNXRegistry().from_torchlib()
    assert first is second
    assert other is not first
    assert other.functions.keys() == first.functions.keys()
    assert first.get_decomps(torch.ops.aten.relu.default)


def test_the_exporter_is_as_it_was_after_an_error() -> None:
    make = vars(ONNXRegistry)["from_torchlib"]
    with pytest.raises(KeyError), kept_operations():
        raise KeyError
    assert vars(ONNXRegistry)["from_torchlib"] is make


def test_an_export_makes_no_table_where_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2)).eval()
    spec = TensorSpec(name="numbers", dtype="float32", shape=(None, 3))
    first = export(network, spec)
    monkeypatch.setattr(ONNXRegistry, "_register", None)
    assert export(network, spec) == first
