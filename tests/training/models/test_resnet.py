import torch

from diptych.core.specs import ImageSpec
from diptych.training.models import ResidualNet, ResidualNetConfig

CONFIG = ResidualNetConfig(stem=8, widths=(16, 24), blocks=(1, 0))


def test_the_network_maps_raw_pictures_to_logits() -> None:
    network = ResidualNet(CONFIG, ImageSpec(height=12, width=10, channels=3), 5).eval()
    assert network(torch.zeros(2, 12, 10, 3, dtype=torch.uint8)).shape == (2, 5)


def test_the_number_of_parameters_is_the_sum_of_its_layers() -> None:
    network = ResidualNet(CONFIG, ImageSpec(height=8, width=8, channels=1), 5)
    convolutions = 9 * (1 * 8 + 8 * 16 + 2 * 16 * 16 + 16 * 24)
    norms = 2 * (8 + 16 + 16 + 16 + 24)
    assert sum(p.numel() for p in network.parameters()) == convolutions + norms + 24 * 5 + 5


def test_scaling_keeps_widths_that_fill_vectors_and_never_widens_the_stem() -> None:
    assert CONFIG.scaled(0.5) == ResidualNetConfig(stem=8, widths=(8, 16), blocks=(1, 0))
    assert CONFIG.scaled(2.0) == ResidualNetConfig(stem=8, widths=(32, 48), blocks=(1, 0))
