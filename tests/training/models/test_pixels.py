import numpy as np
import pytest
import torch
from torch import Tensor

from diptych.core.specs import ImageSpec
from diptych.training.models.pixels import LEAST_DEVIATION, PixelNet


class Left(PixelNet):
    """Answers with the first column of the first channel."""

    def logits_of(self, pixels: Tensor) -> Tensor:
        return self.scaled(pixels)[:, 0, :, 0]


def learned(pixels: np.ndarray, *, mirrored: bool = False) -> PixelNet:
    _, height, width, channels = pixels.shape
    spec = ImageSpec(height=height, width=width, channels=channels)
    network = Left(spec, mirrored=mirrored)
    network.learn_scaling(torch.from_numpy(pixels))
    return network


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_scaled_pixels_have_mean_0_and_deviation_1_over_all_channels(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (50, 8, 6, channels), dtype=np.uint8)
    network = learned(pixels)
    found = network.scaled(torch.from_numpy(pixels))
    assert found.shape == (50, channels, 8, 6)
    assert abs(float(found.mean())) < 0.5 / float(network.deviation.flatten()[0])
    assert float(found.std()) == pytest.approx(1, rel=1e-3)


def test_scaling_is_one_whole_number_and_one_deviation() -> None:
    pixels = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    pixels[..., 0] = 200
    network = learned(pixels)
    assert network.mean.unique().tolist() == [67.0]
    assert len(network.deviation.unique()) == 1


def test_pictures_of_one_color_are_not_divided_by_nothing() -> None:
    network = learned(np.full((2, 4, 4, 1), 9, dtype=np.uint8))
    assert float(network.deviation) == LEAST_DEVIATION
    assert not network.scaled(torch.full((1, 4, 4, 1), 9, dtype=torch.uint8)).any()


def test_a_mirrored_network_answers_with_the_mean_over_both_sides_once_it_is_trained() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    network, given = learned(pixels, mirrored=True), torch.from_numpy(pixels)
    sides = [network.logits_of(side) for side in (given, given.flip(2))]
    assert torch.equal(network(given), sides[0])
    assert torch.allclose(network.eval()(given), (sides[0] + sides[1]) / 2)
    assert torch.allclose(network(given), network(given.flip(2)))
    assert torch.equal(learned(pixels).eval()(given), sides[0])
