"""The orientation tag, against blocks that Pillow writes and blocks that are damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diptych.tasks.orientation import ORIENTATION_TAG, orientation


def block(value: int, endian: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "a maker, so that the tag is not the first"
    exif[ORIENTATION_TAG] = value
    return exif.tobytes()


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_reads_what_pillow_writes(value: int, endian: str) -> None:
    assert orientation(block(value, endian)) == value


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_impossible_value_is_upright(value: int) -> None:
    assert orientation(block(value)) == 1


@pytest.mark.parametrize("exif", ["Exif\0\0II*\0", "", None, 6, (b"II*\0",)])
def test_what_is_no_bytes_is_upright(exif: object) -> None:
    assert orientation(exif) == 1


@given(st.integers(0, 80))
def test_a_block_cut_short_is_read_as_far_as_it_goes(length: int) -> None:
    assert orientation(block(6)[:length]) in {1, 6}


@given(st.binary(max_size=64))
def test_any_bytes_give_an_orientation(noise: bytes) -> None:
    assert orientation(b"Exif\0\0II*\0" + noise) in range(1, 9)
