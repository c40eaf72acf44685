"""Oracle: timm's own network, given prepared pictures."""

import pytest
import torch

from diptych.core.errors import ConfigError
from diptych.core.extras import installed
from diptych.core.specs import ImageSpec, TextSpec
from diptych.training.models.timm_network import TimmConfig, build_timm
from diptych.training.picture_encoder import Preparation
from diptych.training.timm_library import timm_library

pytestmark = pytest.mark.skipif(not installed("timm"), reason="the extra timm is absent")

NAME, SIDE, CLASSES = "mobilenetv3_small_050", 32, 4
MEAN, DEVIATION = (120.0, 110.0, 100.0), (60.0, 61.0, 62.0)
PREPARATION = Preparation(side=SIDE, mean=MEAN, deviation=DEVIATION)
CONFIG = TimmConfig(architecture=NAME, preparation=PREPARATION)


def test_raw_pixels_are_answered_as_timm_answers_prepared_ones() -> None:
    torch.manual_seed(0)
    network = build_timm(CONFIG, ImageSpec(height=SIDE, width=SIDE, channels=3), CLASSES).eval()
    torch.manual_seed(0)
    plain = timm_library().create_model(NAME, num_classes=CLASSES).eval()
    pixels = torch.randint(0, 256, (3, SIDE, SIDE, 3), dtype=torch.uint8)
    prepared = pixels.permute(0, 3, 1, 2).float() - torch.tensor(MEAN).view(1, 3, 1, 1)
    prepared = prepared / torch.tensor(DEVIATION).view(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(network(pixels), plain(prepared))
    assert {f"model.{name}" for name in plain.state_dict()} == set(network.state_dict())


def test_gray_and_smaller_pictures_are_brought_to_what_it_takes() -> None:
    network = build_timm(CONFIG, ImageSpec(height=8, width=8, channels=1), CLASSES).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 8, 8, 1, dtype=torch.uint8)).shape == (2, CLASSES)


def test_other_items_and_unknown_names_are_refused() -> None:
    texts = TextSpec(tokens=4, vocabulary=9)
    with pytest.raises(ConfigError, match="an encoder of pictures, and the data is of kind 'text'"):
        build_timm(CONFIG, texts, CLASSES)
    unknown = TimmConfig(architecture="resnet17", preparation=PREPARATION)
    with pytest.raises(ConfigError, match="timm knows no network 'resnet17'"):
        build_timm(unknown, ImageSpec(height=8, width=8, channels=3), CLASSES)
