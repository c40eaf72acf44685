from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from diptych.core.specs import AudioSpec, ImageSpec, TextSpec
from diptych.training.models import (
    NETWORKS,
    DepthwiseNetConfig,
    NgramsConfig,
    ResidualNetConfig,
    TextConvolutionConfig,
    TextMixtureConfig,
    TransformerConfig,
)
from diptych.training.models.features import features_of, look
from diptych.training.models.rescaled import Rescaled

PICTURES = ImageSpec(height=8, width=8, channels=1)
SOUNDS = AudioSpec(sample_rate=8000, samples=4000)
TEXTS = TextSpec(tokens=12, vocabulary=50)
CASES = {
    "residual": (ResidualNetConfig(stem=8, widths=(16,), blocks=(1,)), PICTURES),
    "dscnn": (DepthwiseNetConfig(stem=8, widths=(8, 16), strides=(2, 1)), SOUNDS),
    "ngrams": (NgramsConfig(buckets=1021), TEXTS),
    "convolution": (TextConvolutionConfig(width=16, channels=16), TEXTS),
    "mixture": (
        TextMixtureConfig(
            bag=NgramsConfig(buckets=1021),
            convolution=TextConvolutionConfig(width=16, channels=16),
        ),
        TEXTS,
    ),
    "transformer": (TransformerConfig(width=32, layers=1), TEXTS),
}


def texts() -> Tensor:
    tokens = torch.randint(1, 50, (40, 12), dtype=torch.int32)
    return torch.where(torch.arange(12) < torch.randint(1, 13, (40, 1)), tokens, 0)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    """Give a network and 40 inputs, which are more than are computed in one group."""
    config, spec = CASES[request.param]
    torch.manual_seed(0)
    network = NETWORKS[type(config)](config, spec, 5)
    makers: dict[type, Callable[[], Tensor]] = {
        ImageSpec: lambda: torch.randint(0, 256, (40, 8, 8, 1), dtype=torch.uint8),
        AudioSpec: lambda: torch.randint(-9999, 9999, (40, 4000), dtype=torch.int16),
        TextSpec: texts,
    }
    return network, makers[type(spec)]()


def test_outputs_are_those_of_the_network(case: tuple[nn.Module, Tensor]) -> None:
    network, inputs = case
    network.eval()
    with torch.no_grad():
        outputs, features = look(network, inputs)
        assert torch.allclose(outputs, network(inputs), atol=1e-5)
    assert len(features) == 40


def test_gradients_are_those_of_the_network(case: tuple[nn.Module, Tensor]) -> None:
    network, inputs = case
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    network.train()
    shapes = []
    slopes = []
    for compute in (network, lambda some: look(network, some)[0]):
        torch.manual_seed(1)  # of the masks
        network.zero_grad()
        outputs = compute(inputs)
        shapes.append(outputs.shape)
        outputs.square().sum().backward()
        slopes.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert shapes[0] == shapes[1]
    assert slopes[0]
    for one, other in zip(*slopes, strict=True):
        assert torch.allclose(one, other, atol=1e-3 * (1 + float(one.abs().max())))


def test_values_in_their_own_unit_are_shown_as_such() -> None:
    config, spec = CASES["residual"]
    network = Rescaled(NETWORKS[type(config)](config, spec, 1), 100.0, 7.0).eval()
    inputs = torch.zeros(2, 8, 8, 1, dtype=torch.uint8)
    assert torch.allclose(look(network, inputs)[0], network(inputs))


def test_other_networks_show_nothing() -> None:
    assert features_of(nn.Linear(2, 2)) is None
    assert features_of(Rescaled(nn.Linear(2, 2), 0.0, 1.0)) is None
    with pytest.raises(TypeError, match="a Linear does not show its features"):
        look(nn.Linear(2, 2), torch.zeros(1, 2))
