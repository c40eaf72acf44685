"""Programs for ExecuTorch; most need its library, and say so where it is absent."""

import sys

import pytest
import torch
from torch import Tensor, nn

from diptych.core.errors import MissingExtraError, TargetError
from diptych.core.extras import installed
from diptych.core.specs import ImageSpec
from diptych.targets.mobile import compile_mobile, plain
from diptych.targets.parity import check
from diptych.training.models import ResidualNet, ResidualNetConfig

lowers = pytest.mark.skipif(not installed("executorch"), reason="the extra mobile is absent")


def network(channels: int = 3) -> nn.Module:
    config = ResidualNetConfig(stem=8, widths=(16,), blocks=(1,))
    return ResidualNet(config, ImageSpec(height=8, width=8, channels=channels), 10).eval()


def test_what_scales_all_channels_alike_is_one_number() -> None:
    made = network()
    pixels = torch.randint(0, 256, (4, 8, 8, 3), dtype=torch.uint8)
    made.learn_scaling(pixels)
    twin = plain(made)
    assert twin.mean.shape == twin.deviation.shape == ()
    assert made.mean.shape == (1, 3, 1, 1)
    assert torch.allclose(twin(pixels), made(pixels), atol=1e-6)
    made.mean[0, 1] += 1
    assert plain(made).mean.shape == (1, 3, 1, 1)


def test_without_the_library_it_is_said_what_to_install(trained, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "executorch", None)
    with pytest.raises(MissingExtraError, match="executorch") as told:
        compile_mobile(trained.network, trained.spec, trained.test[:1])
    assert told.value.hint == "pip install 'diptych[mobile]'"


def test_too_few_items_to_calibrate_are_refused(trained) -> None:
    with pytest.raises(TargetError, match="calibration"):
        compile_mobile(trained.network, trained.spec, trained.test[:1], trained.train[:3])


@lowers
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_program_computes_what_the_network_computes(trained, precision: str) -> None:
    items = trained.train[:64] if precision == "int8" else None
    content, outputs = compile_mobile(trained.network, trained.spec, trained.test[:32], items)
    assert content[4:8].startswith(b"ET")
    parity = check(trained.logits(trained.test[:32]), outputs, precision)
    assert parity.flips <= (0 if items is None else 1)


@lowers
@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_one_and_of_three_channels_can_be_lowered(channels: int) -> None:
    made = network(channels)
    pixels = torch.randint(0, 256, (20, 8, 8, channels), dtype=torch.uint8)
    made.learn_scaling(pixels)
    spec = ImageSpec(height=8, width=8, channels=channels).tensor()
    with torch.no_grad():
        wanted = made(pixels).numpy()
    check(wanted, compile_mobile(made, spec, pixels.numpy())[1], "fp32")
    check(wanted, compile_mobile(made, spec, pixels.numpy(), pixels.numpy())[1], "int8")


@lowers
def test_a_network_that_cannot_be_followed_is_refused_in_one_line(trained) -> None:
    class Choosing(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.float() if pixels.float().sum() > 3 else -pixels.float()

    with pytest.raises(TargetError, match="ExecuTorch cannot lower the network") as told:
        compile_mobile(Choosing().eval(), trained.spec, trained.test[:1])
    assert "\n" not in told.value.message
