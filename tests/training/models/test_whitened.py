import numpy as np
import pytest
import torch
from torch.nn import functional

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec
from diptych.training.models import WhitenedNetConfig
from diptych.training.models.whitened import LEAST_VARIANCE, Stage, WhitenedNet

CONFIG = WhitenedNetConfig(widths=(16, 32))
SPEC = ImageSpec(height=10, width=12, channels=3)


@pytest.fixture
def pixels() -> torch.Tensor:
    """Give pictures whose neighbors are alike, as those of photographs are."""
    draw = np.random.default_rng(0)
    noise = draw.normal(0, 40, (200, 14, 16, 3)).cumsum(1).cumsum(2) / 8
    smooth = noise + noise[..., ::-1]
    smooth = 120 + smooth[:, 4:, 4:] - smooth[:, :-4, :-4]
    return torch.from_numpy(smooth.clip(0, 255).astype(np.uint8))


def test_the_network_maps_raw_pictures_to_logits() -> None:
    network = WhitenedNet(CONFIG, SPEC, 5).eval()
    assert network(torch.zeros(2, 10, 12, 3, dtype=torch.uint8)).shape == (2, 5)


def test_the_first_layer_makes_patches_uncorrelated_and_equally_strong(
    pixels: torch.Tensor,
) -> None:
    network = WhitenedNet(CONFIG, SPEC, 5)
    network.learn_scaling(pixels)
    x = (pixels.permute(0, 3, 1, 2).float() - network.mean) / network.deviation
    before = functional.unfold(x, 2).permute(1, 0, 2).flatten(1).double()
    assert np.abs(np.corrcoef(before.numpy()) - np.eye(12)).max() > 0.5
    with torch.no_grad():
        answers = network.whiten(x).permute(1, 0, 2, 3).flatten(1).double()
    moments = (answers @ answers.T / answers.shape[1]).numpy()
    values = np.linalg.eigvalsh((before @ before.T / before.shape[1]).numpy())
    expected = np.diag(np.sort(values / (values + LEAST_VARIANCE)))
    order = np.argsort(np.diag(moments[:12, :12]))
    assert np.allclose(moments[:12, :12][np.ix_(order, order)], expected, atol=1e-3)
    assert np.allclose(moments[12:, :12], -moments[:12, :12], atol=1e-3)


def test_whitening_is_not_trained_and_norms_have_no_scale() -> None:
    network = WhitenedNet(CONFIG, SPEC, 5)
    network(torch.randint(0, 256, (4, 10, 12, 3), dtype=torch.uint8)).sum().backward()
    trained = {name for name, p in network.named_parameters() if p.grad is not None}
    assert not any(name.startswith("whiten") for name in trained)
    assert not any(name.endswith(("norms.0.weight", "norms.1.weight")) for name in trained)


def test_a_convolution_passes_on_at_first_what_it_is_given() -> None:
    x = torch.randn(2, 6, 8, 8)
    stage = Stage(6, 16)
    assert torch.equal(stage.first(x)[:, :6], x)
    assert not torch.equal(stage.first(x)[:, 6:12], x)


def test_widths_are_scaled_in_steps_of_the_processors_vectors() -> None:
    assert CONFIG.scaled(0.6) == WhitenedNetConfig(widths=(16, 16))
    assert CONFIG.scaled(2.0) == WhitenedNetConfig(widths=(32, 64))


def test_pictures_that_are_too_small_are_refused() -> None:
    with pytest.raises(ConfigError, match="pictures of 4 pixels cannot be halved 2 times"):
        WhitenedNet(CONFIG, ImageSpec(height=4, width=9, channels=1), 2)
