"""Pictures with very many blocks that Pillow would join or unpack, and honest ones beside them."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from diptych.core.errors import DataError
from diptych.core.specs import ImageSpec
from diptych.tasks.image import decode, probe
from diptych.tasks.watched import MOST_BLOCKS, MOST_PIECES, watched

SPEC = ImageSpec(height=6, width=8, channels=3)
HEADER_BYTES = {"JPEG": 2, "PNG": 33}
END_BYTES = 12
"""Of the last chunk of a PNG."""
PACKED = zlib.compress(bytes(100))


def segment(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", 2 + len(content)) + content


def chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def with_blocks(form: str, block: bytes, count: int) -> bytes:
    """Make a picture that has a block so many times after its first bytes."""
    file = BytesIO()
    Image.new("RGB", (8, 6), "red").save(file, form)
    content, start = file.getvalue(), HEADER_BYTES[form]
    return content[:start] + count * block + content[start:]


BLOCKS = [
    ("JPEG", segment(b"Exif\0\0x")),
    ("PNG", chunk(b"iCCP", b"name\0\0" + PACKED)),
    ("PNG", chunk(b"zTXt", b"\0\0" + PACKED)),
    ("PNG", chunk(b"iTXt", b"name\0\1\0\0\0" + PACKED)),
]


@pytest.mark.parametrize(("form", "block"), BLOCKS)
def test_many_blocks_that_take_long_are_refused_and_some_are_not(form: str, block: bytes) -> None:
    some = with_blocks(form, block, MOST_BLOCKS)
    assert probe(some) == (6, 8, 3)
    assert decode(some, SPEC).shape == (6, 8, 3)
    many = with_blocks(form, block, MOST_BLOCKS + 1)
    said = r"cat is damaged: more than 64 blocks of Exif, colour profiles and packed texts$"
    with pytest.raises(DataError, match=said):
        probe(many, "cat")
    with pytest.raises(DataError, match=said):
        decode(many, SPEC, "cat")


@pytest.mark.timeout(20)
def test_a_jpeg_of_many_megabytes_of_exif_blocks_is_refused_at_once() -> None:
    many = with_blocks("JPEG", segment(b"Exif\0\0" + bytes(12)), 8_000_000 // 22)
    with pytest.raises(DataError, match="more than 64 blocks"):
        probe(many)


@pytest.mark.parametrize(
    ("form", "block"),
    [
        ("JPEG", segment(b"http://ns.adobe.com/xap/1.0/\0<x/>")),
        ("PNG", chunk(b"tEXt", b"name\0a text")),
    ],
)
def test_many_blocks_that_are_taken_as_they_are_do_no_harm(form: str, block: bytes) -> None:
    assert decode(with_blocks(form, block, 500), SPEC).shape == (6, 8, 3)


def test_blocks_after_the_pixels_count_too() -> None:
    content, text = with_blocks("PNG", b"", 0), chunk(b"zTXt", b"name\0\0" + PACKED)
    many = content[:-END_BYTES] + (MOST_BLOCKS + 1) * text + content[-END_BYTES:]
    assert probe(many) == (6, 8, 3)
    with pytest.raises(DataError, match="more than 64 blocks"):
        decode(many, SPEC)


def test_a_file_in_very_many_pieces_is_not_read_to_its_end() -> None:
    file = watched(BytesIO(bytes(MOST_PIECES + 1)))
    assert sum(len(file.read(1)) for _ in range(MOST_PIECES)) == MOST_PIECES == file.tell()
    with pytest.raises(ValueError, match="in more than 1,000,000 pieces"):
        file.read(1)
