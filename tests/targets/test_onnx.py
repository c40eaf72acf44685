import logging
import warnings

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from diptych.core.errors import TargetError
from diptych.targets.onnx import export

pytestmark = pytest.mark.slow


class Backwards(nn.Module):
    def forward(self, pixels):
        return torch.linalg.eigvals(pixels.float().mean(-1)).abs()


class Deciding(nn.Module):
    def forward(self, pixels):
        return pixels.float().mean((1, 2)) if pixels.sum() > 3 else pixels.float().amax((1, 2))


class Named(nn.Module):
    """Has a weight of the name that the exporter gives to a step that it then folds away."""

    def __init__(self) -> None:
        super().__init__()
        self.biases = nn.Parameter(torch.tensor([[1.0], [3.0]]))
        self.register_buffer("mean", torch.tensor(10.0))

    def forward(self, pixels):
        return pixels.float().flatten(1).sum(1, keepdim=True) + self.biases.mean(0) + self.mean


def test_the_program_gives_the_networks_logits(trained, exported, run_files):
    logits = run_files("onnxruntime", {"m.onnx": exported}, trained.test)
    np.testing.assert_allclose(logits, trained.logits(trained.test), atol=1e-4)
    assert (logits.argmax(1) == trained.labels).mean() > 0.85


def test_the_batch_axis_is_free(trained, exported, run_files):
    for size in (1, 3, 65):
        logits = run_files("onnxruntime", {"m.onnx": exported}, trained.test[:size])
        np.testing.assert_allclose(logits, trained.logits(trained.test[:size]), atol=1e-4)


def test_the_same_weights_give_the_same_bytes(trained, exported):
    assert export(trained.network, trained.spec) == exported


def test_the_file_is_valid_and_little_more_than_the_weights(trained, exported):
    model = onnx.load_from_string(exported)
    onnx.checker.check_model(model, full_check=True)
    weights = sum(parameter.numel() for parameter in trained.network.parameters())
    assert len(exported) < 4 * weights + 4000


def test_names_are_as_asked_and_nothing_of_the_exporter_is_left(exported):
    model = onnx.load_from_string(exported)
    assert [value.name for value in model.graph.input] == ["pixels"]
    assert [value.name for value in model.graph.output] == ["logits"]
    assert b"site-packages" not in exported
    assert b".py" not in exported
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_a_weight_may_be_called_as_a_step_is(trained, run_files):
    program = export(Named().eval(), trained.spec)
    pixels = trained.test[:3]
    expected = pixels.reshape(3, -1).sum(1, keepdims=True, dtype=np.float32) + 12
    np.testing.assert_allclose(run_files("onnxruntime", {"m.onnx": program}, pixels), expected)


def test_every_norm_is_folded(exported):
    kinds = [node.op_type for node in onnx.load_from_string(exported).graph.node]
    assert "BatchNormalization" not in kinds
    assert kinds.count("Conv") == 3


def test_exporting_is_quiet(trained, capfd, caplog):
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        export(trained.network, trained.spec)
    assert capfd.readouterr() == ("", "")
    assert warned == []


def test_an_operation_without_an_equivalent_is_named(trained):
    with pytest.raises(TargetError, match=r"aten\.linalg_eig") as caught:
        export(Backwards().eval(), trained.spec)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_network_that_decides_by_values_is_refused(trained):
    with pytest.raises(TargetError, match="cannot be lowered to ONNX") as caught:
        export(Deciding().eval(), trained.spec)
    assert "\n" not in caught.value.message


def test_a_network_in_training_mode_is_refused(trained):
    with pytest.raises(TargetError, match="training mode"):
        export(nn.Flatten(), trained.spec)
