from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import version_converter
from torch import Tensor, nn

from diptych.core.errors import TargetError
from diptych.core.specs import TensorSpec
from diptych.inference.runtimes.onnx_wire import refuse_external_data
from diptych.inference.runtimes.onnxruntime import OnnxRuntimeSession, open_session
from diptych.targets.cascade import cascade
from diptych.targets.onnx import export
from diptych.targets.quantization import quantize_onnx

SPEC = TensorSpec(name="pixels", dtype="uint8", shape=(None, 6, 6, 3))
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 6, 6, 3), dtype=np.uint8)


class Small(nn.Module):
    """A convolution and a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, width, 3)
        self.head = nn.Linear(width, 4)

    def forward(self, pixels: Tensor) -> Tensor:
        x = torch.relu(self.convolution(pixels.permute(0, 3, 1, 2).float() / 64))
        logits: Tensor = 4 * self.head(x.amax((2, 3)))
        return logits


def program(width: int, seed: int, *, int8: bool = False) -> bytes:
    torch.manual_seed(seed)
    model = export(Small(width).eval(), SPEC)
    return quantize_onnx(model, PIXELS) if int8 else model


def session(content: bytes, folder: Path) -> OnnxRuntimeSession:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return open_session([path], 1)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("share", [0, 0.25, 0.75, 1])
def test_each_item_is_answered_by_the_one_whose_turn_it_is(
    tmp_path: Path, int8: bool, share: float
) -> None:
    parts = [program(8, 0, int8=int8), program(16, 1, int8=int8)]
    small, large = (session(part, tmp_path).run(PIXELS) for part in parts)
    inorder = np.sort(small)
    lead = inorder[:, -1] - inorder[:, -2]
    threshold = 99 if share == 1 else np.quantile(lead, share)
    unsure = lead < threshold
    assert unsure.mean() == share
    expected = np.where(unsure[:, None], large, small)
    whole = session(cascade(*parts, threshold), tmp_path)
    assert np.allclose(whole.run(PIXELS), expected, atol=1e-5)
    single = np.concatenate([whole.run(PIXELS[i : i + 1]) for i in range(len(PIXELS))])
    assert np.allclose(single, expected, atol=1e-5)


def test_the_file_holds_both_and_little_more() -> None:
    parts = [program(8, 0), program(16, 1)]
    both = cascade(*parts, 0.5)
    assert len(both) < sum(map(len, parts)) + 3000
    onnx.checker.check_model(onnx.load_from_string(both), full_check=True)
    refuse_external_data(both)
    assert cascade(*parts, 0.5) == both


def test_models_of_two_versions_make_none() -> None:
    model = onnx.load_from_string(program(8, 0))
    older = version_converter.convert_version(model, model.opset_import[0].version - 1)
    with pytest.raises(TargetError, match="different versions"):
        cascade(program(8, 0), older.SerializeToString(), 0.5)
    for each in model.opset_import:
        each.version = 17
    with pytest.raises(TargetError, match="opset 18"):
        cascade(model.SerializeToString(), model.SerializeToString(), 0.5)
