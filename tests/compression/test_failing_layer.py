import sys

import pytest
import torch
from torch import Tensor, nn

from diptych.compression.failing_layer import hushed, place_of
from diptych.core.specs import ImageSpec
from diptych.training.models.given import GivenConfig, GivenNetwork, Scaling

SPEC = ImageSpec(height=4, width=4, channels=1).tensor()
CONFIG = GivenConfig(
    source="net.py:make",
    sha256="0" * 64,
    scaling=Scaling(name="made", mean=(0.0,), deviation=(1.0,)),
    channels_first=True,
)


class Odd(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x.mean(1)).abs()


class Deciding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 3 else -x


def network(last: nn.Module) -> nn.Module:
    body = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Sequential(nn.ReLU(), last))
    return GivenNetwork(body, CONFIG).eval()


@pytest.mark.slow
def test_the_layer_of_an_operation_is_named_as_its_owner_does() -> None:
    assert place_of(network(Odd()), SPEC, "aten.linalg_eig") == " in layer '1.1' (Odd)"
    assert place_of(network(Odd()), SPEC, "aten.erfinv") == ""


@pytest.mark.slow
def test_the_layer_that_torch_cannot_follow_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert place_of(network(Deciding()), SPEC) == " in layer '1.1' (Deciding)"
    assert capfd.readouterr() == ("", "")


def test_what_is_printed_is_kept_away(capsys: pytest.CaptureFixture[str]) -> None:
    with hushed():
        sys.stderr.write("a graph\n")
    sys.stderr.write("a word\n")
    assert capsys.readouterr().err == "a word\n"
