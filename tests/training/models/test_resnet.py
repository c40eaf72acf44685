import pytest
import torch
from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec
from diptych.training.models import ResidualNet, ResidualNetConfig

CONFIG = ResidualNetConfig(stem=8, widths=(16, 24), blocks=(1, 0))


def test_the_network_maps_raw_pictures_to_logits() -> None:
    network = ResidualNet(CONFIG, ImageSpec(height=12, width=10, channels=3), 5).eval()
    assert network(torch.zeros(2, 12, 10, 3, dtype=torch.uint8)).shape == (2, 5)


def test_a_network_at_half_the_resolution_sees_means_of_four_pixels() -> None:
    whole = ResidualNet(CONFIG, ImageSpec(height=6, width=4, channels=3), 5).eval()
    spec = ImageSpec(height=13, width=9, channels=3)
    half = ResidualNet(replace(CONFIG, downsample=2), spec, 5).eval()
    half.load_state_dict(whole.state_dict())
    pixels = torch.randint(0, 256, (2, 6, 4, 3), dtype=torch.uint8)
    larger = torch.zeros(2, 13, 9, 3, dtype=torch.uint8)
    larger[:, :12, :8] = pixels.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.allclose(half(larger), whole(pixels), atol=1e-5)
    small = ImageSpec(height=8, width=9, channels=3)
    with pytest.raises(ConfigError, match="8 pixels cannot be divided by 4 and then halved 2 time"):
        ResidualNet(replace(CONFIG, downsample=4), small, 5)


def test_the_number_of_parameters_is_the_sum_of_its_layers() -> None:
    network = ResidualNet(CONFIG, ImageSpec(height=8, width=8, channels=1), 5)
    convolutions = 9 * (1 * 8 + 8 * 16 + 2 * 16 * 16 + 16 * 24)
    norms = 2 * (8 + 16 + 16 + 16 + 24)
    assert sum(p.numel() for p in network.parameters()) == convolutions + norms + 24 * 5 + 5


def test_scaling_keeps_widths_that_fill_vectors_and_never_widens_the_stem() -> None:
    assert CONFIG.scaled(0.5) == ResidualNetConfig(stem=8, widths=(8, 16), blocks=(1, 0))
    assert CONFIG.scaled(2.0) == ResidualNetConfig(stem=8, widths=(32, 48), blocks=(1, 0))
