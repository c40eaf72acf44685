"""Networks to prune, ours and others', with inputs; norms have statistics as after a training."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from diptych.core.specs import AudioSpec, ImageSpec, TextSpec
from diptych.training.models import (
    NETWORKS,
    ConformerConfig,
    DepthwiseNetConfig,
    ResidualNetConfig,
    TransformerConfig,
)


class Plain(nn.Module):
    """Convolutions with norms, flattened pictures, linear layers, as in a VGG."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Linear(128, 48), nn.ReLU(inplace=True), nn.Linear(48, 5))

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels.permute(0, 3, 1, 2).float() / 255
        return self.classifier(self.features(x).flatten(1))


class Joined(nn.Module):
    """A sum with a shortcut, a concatenation with a norm over it, and a convolution in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.inner = nn.Conv2d(16, 24, 1)
        self.back = nn.Conv2d(24, 16, 3, padding=1)
        self.shortcut = nn.Conv2d(16, 16, 1)
        self.side = nn.Conv2d(16, 32, 3, padding=1)
        self.norm = nn.BatchNorm2d(48)
        self.mix = nn.Conv2d(48, 32, 1)
        self.grouped = nn.Conv2d(32, 32, 3, padding=1, groups=4)
        self.head = nn.Linear(32, 5)

    def forward(self, pixels: Tensor) -> Tensor:
        x = torch.relu(self.stem(pixels.permute(0, 3, 1, 2).float() / 255))
        x = self.shortcut(x) + self.back(torch.sigmoid(self.inner(x)))
        x = torch.relu(self.norm(torch.cat([x, torch.tanh(self.side(x))], 1)))
        x = torch.relu(self.grouped(torch.relu(self.mix(x))))
        return self.head(x.mean((2, 3)))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network in evaluation mode, and inputs."""

    network: nn.Module
    inputs: Tensor


PICTURES = ImageSpec(height=16, width=16, channels=3)
SOUNDS = AudioSpec(sample_rate=8000, samples=4096)
TEXTS = TextSpec(tokens=12, vocabulary=50)


def _pixels() -> Tensor:
    return torch.randint(0, 256, (6, 16, 16, 3), dtype=torch.uint8)


def _ours(config: object, spec: object) -> nn.Module:
    return NETWORKS[type(config)](config, spec, 5)


MAKERS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "residual": lambda: (
        _ours(ResidualNetConfig(stem=16, widths=(32, 24), blocks=(1, 1)), PICTURES),
        _pixels(),
    ),
    "depthwise": lambda: (
        _ours(DepthwiseNetConfig(stem=16, widths=(24, 32), strides=(2, 1)), SOUNDS),
        torch.randint(-3000, 3000, (6, 4096), dtype=torch.int16),
    ),
    "conformer": lambda: (
        _ours(ConformerConfig(width=32, blocks=1, stem=16), SOUNDS),
        torch.randint(-3000, 3000, (6, 4096), dtype=torch.int16),
    ),
    "transformer": lambda: (
        _ours(TransformerConfig(width=32, hidden=64), TEXTS),
        torch.randint(1, 50, (6, 12), dtype=torch.int32),
    ),
    "plain": lambda: (Plain(), _pixels()),
    "joined": lambda: (Joined(), _pixels()),
}


def make_case(name: str) -> Case:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, inputs = MAKERS[name]()
        for layer in network.modules():
            if isinstance(layer, _BatchNorm):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2.0)
                layer.bias.data.normal_()
    return Case(network=network.eval(), inputs=inputs)


@pytest.fixture(params=MAKERS)
def case(request: pytest.FixtureRequest) -> Case:
    """Give each network in turn."""
    return make_case(request.param)


@pytest.fixture(scope="session")
def cases() -> Callable[[str], Case]:
    """Give the maker of a network by its name."""
    return make_case
