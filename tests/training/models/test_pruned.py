from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from diptych.core.errors import ConfigError
from diptych.core.specs import AudioSpec, ImageSpec, TextSpec
from diptych.training.models import (
    NETWORKS,
    DepthwiseNetConfig,
    NetworkConfig,
    OwnConfig,
    PrunedConfig,
    ResidualNetConfig,
    TransformerConfig,
)
from diptych.training.models.pruned import cut, widths_of

PICTURES = ImageSpec(height=8, width=8, channels=3)
CONFIG = ResidualNetConfig(stem=8, widths=(16,), blocks=(1,))
NARROW = {
    "body.1.convolution": (8, 10),
    "body.1.norm": (10, 10),
    "body.2.first.convolution": (10, 4),
    "body.2.first.norm": (4, 4),
    "body.2.second.convolution": (4, 10),
    "body.2.second.norm": (10, 10),
    "head": (10, 5),
}


def test_a_network_is_cut_to_its_recorded_widths() -> None:
    network = cut(NETWORKS[ResidualNetConfig](CONFIG, PICTURES, 5), NARROW).eval()
    assert network(torch.zeros(2, 8, 8, 3, dtype=torch.uint8)).shape == (2, 5)
    found = widths_of(network)
    assert found == widths_of(NETWORKS[ResidualNetConfig](CONFIG, PICTURES, 5)) | NARROW
    assert network.body[2].first.convolution.weight.shape == (4, 10, 3, 3)
    assert network.body[2].first.norm.running_var.shape == (4,)


def test_layers_keep_their_first_channels_and_what_learns() -> None:
    whole = NETWORKS[ResidualNetConfig](CONFIG, PICTURES, 5)
    kept = whole.body[2].second.convolution.weight[:10, :4].clone()
    network = cut(whole, NARROW)
    assert torch.equal(network.body[2].second.convolution.weight, kept)
    assert not network.body[1].norm.weight.requires_grad
    assert network.body[2].first.norm.weight.requires_grad


def test_a_depthwise_convolution_stays_one() -> None:
    config = DepthwiseNetConfig(stem=8, widths=(8,), strides=(1,))
    spec = AudioSpec(sample_rate=8000, samples=4096)
    widths = {
        "body.0.0": (1, 6),
        "body.0.1": (6, 6),
        "body.1.0": (6, 6),
        "body.1.1": (6, 6),
        "body.2.0": (6, 8),
    }
    network = cut(NETWORKS[DepthwiseNetConfig](config, spec, 3), widths).eval()
    assert network.body[1][0].groups == 6
    assert network(torch.zeros(2, 4096, dtype=torch.int16)).shape == (2, 3)


def test_an_attention_has_as_many_heads_as_its_layers_are_wide() -> None:
    config, spec = TransformerConfig(width=32, heads=4), TextSpec(tokens=6, vocabulary=9)
    widths = {f"blocks.0.{name}": (32, 16) for name in ("query", "key", "value")}
    network = cut(
        NETWORKS[TransformerConfig](config, spec, 3), widths | {"blocks.0.output": (16, 32)}
    )
    assert [block.heads for block in network.blocks] == [2, 4]
    assert network.eval()(torch.ones(2, 6, dtype=torch.int32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("widths", "reason"),
    [
        ({"body.9.convolution": (8, 8)}, "no such layer"),
        ({"body.1.convolution": (8, 17)}, "8 in and 16 out"),
        ({"body.1": (8, 8)}, "no such layer"),
    ],
)
def test_widths_of_another_network_are_refused(
    widths: dict[str, tuple[int, int]], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        cut(NETWORKS[ResidualNetConfig](CONFIG, PICTURES, 5), widths)


@pytest.mark.parametrize("network", [CONFIG, OwnConfig(width=0.5)])
def test_the_shape_is_written_and_read_again(network: Any) -> None:
    config = PrunedConfig(network=network, widths={"head": (10, 5)})
    written = msgspec.json.encode(config)
    assert b'"name":"pruned"' in written
    assert msgspec.json.decode(written, type=NetworkConfig) == config


@pytest.mark.parametrize(
    "widths", [{"head": [0, 5]}, {"head": [5]}, {"head": [5, -1]}, {"head": 5}]
)
def test_a_shape_of_no_channels_is_refused(widths: object) -> None:
    told = {"name": "pruned", "network": {"name": "own"}, "widths": widths}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(told, PrunedConfig)


def test_only_layers_with_channels_have_widths() -> None:
    assert widths_of(nn.Sequential(nn.ReLU(), nn.LayerNorm(3))) == {}
