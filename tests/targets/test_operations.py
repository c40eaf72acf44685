import pytest
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

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
