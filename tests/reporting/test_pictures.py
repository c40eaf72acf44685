import base64
import io

import numpy as np
import pytest
from PIL import Image

from diptych.reporting.pictures import MOST_PIXELS, data_address


def opened(address: str) -> np.ndarray:
    prefix = "data:image/png;base64,"
    assert address.startswith(prefix)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.removeprefix(prefix)))))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_small_picture_is_kept_to_the_pixel(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, channels), np.uint8)
    assert (opened(data_address(pixels)).reshape(9, 7, channels) == pixels).all()


def test_a_large_picture_is_made_smaller() -> None:
    shape = opened(data_address(np.zeros((400, 800, 3), np.uint8))).shape
    assert shape == (MOST_PIXELS // 2, MOST_PIXELS, 3)
