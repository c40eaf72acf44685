import base64
import io

import numpy as np
import pytest
from PIL import Image

from diptych.reporting.examples import MOST, MOST_PIXELS, data_address, pick


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


def test_as_many_classes_as_possible_are_shown_first(pictures) -> None:
    labels = tuple("abcdefghij")
    chosen = pick(pictures.inputs, pictures.logits, labels)
    assert len(chosen) == MOST
    assert "".join(one.label for one in chosen[:10]) == "abcdefghij"


def test_the_score_is_the_softmax_of_the_winner() -> None:
    logits = np.array([[0.0, np.log(3.0)]])
    (only,) = pick(np.zeros((1, 4, 4, 1), np.uint8), logits, ("no", "yes"))
    assert (only.label, round(only.score, 6)) == ("yes", 0.75)


def test_without_golden_examples_there_are_none() -> None:
    assert pick(np.zeros((0, 4, 4, 1), np.uint8), np.zeros((0, 2)), ("a", "b")) == ()
