import io

import numpy as np
import pytest

from diptych.core.errors import DataError
from diptych.tasks.compressed import read_frames, read_shape

soundfile = pytest.importorskip("soundfile")

NOISE = np.random.default_rng(0).integers(-9000, 9000, (4000, 2)).astype(np.int16)


def written(kind: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, NOISE, 22_050, format=kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_the_header_tells_rate_channels_and_length(kind: str) -> None:
    assert read_shape(io.BytesIO(written(kind)), "a") == (22_050, 2, 4000)


def test_lossless_samples_come_back_as_they_were() -> None:
    samples = read_frames(io.BytesIO(written("FLAC")), 4000, "a")
    np.testing.assert_array_equal(samples * 32_768, NOISE)


def test_a_file_that_ends_early_is_cut_off() -> None:
    with pytest.raises(DataError, match="a is cut off: 4,000 of 5,000 samples are there"):
        read_frames(io.BytesIO(written("FLAC")), 5000, "a")


def test_noise_is_damaged() -> None:
    with pytest.raises(DataError, match="a is damaged") as caught:
        read_shape(io.BytesIO(b"fLaC" + bytes(90)), "a")
    assert "\n" not in caught.value.message
    assert "BytesIO" not in caught.value.message
