"""Pictures of every kind that users bring, made here, and what they must become."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from diptych.core.errors import DataError
from diptych.core.specs import ImageSpec
from diptych.tasks import preparer as tasks_preparer
from diptych.tasks.image import (
    MAX_FILE_BYTES,
    MAX_PIXELS,
    decode,
    decoded_pixels,
    prepare,
    preparer,
    probe,
)

GREY = ImageSpec(height=6, width=8, channels=1)
RGB = ImageSpec(height=6, width=8, channels=3)
RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREYS = RANDOM.integers(0, 256, (6, 8), dtype=np.uint8)


def written(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    pixels = b"IDAT" + zlib.compress(bytes(100))
    more = struct.pack(">I", len(pixels) - 4) + pixels + struct.pack(">I", zlib.crc32(pixels))
    return b"\x89PNG\r\n\x1a\n" + chunk + more


@pytest.mark.parametrize(
    ("form", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})]
)
def test_lossless_colours_come_back_as_they_were(form: str, options: dict[str, object]) -> None:
    data = written(Image.fromarray(COLOURS), form, **options)
    np.testing.assert_array_equal(decode(data, RGB), COLOURS)
    assert probe(data) == (6, 8, 3)


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF"])
def test_lossless_greys_come_back_as_they_were(form: str) -> None:
    data = written(Image.fromarray(GREYS), form)
    np.testing.assert_array_equal(decode(data, GREY)[..., 0], GREYS)
    assert probe(data) == (6, 8, 1)


def test_grey_as_colour_repeats_the_channel_and_colour_as_grey_is_the_luminance() -> None:
    as_colour = decode(written(Image.fromarray(GREYS)), RGB)
    np.testing.assert_array_equal(as_colour, np.repeat(GREYS[..., None], 3, axis=2))
    luminance = COLOURS @ [0.299, 0.587, 0.114]
    as_grey = decode(written(Image.fromarray(COLOURS)), GREY)[..., 0]
    np.testing.assert_allclose(as_grey, luminance, atol=1)


def test_a_jpeg_is_nearly_as_it_was() -> None:
    smooth = np.full((6, 8, 3), (200, 100, 50), np.uint8)
    data = written(Image.fromarray(smooth), "JPEG", quality=95)
    np.testing.assert_allclose(decode(data, RGB), smooth, atol=4)


def test_cmyk_becomes_rgb() -> None:
    red = Image.new("CMYK", (8, 6), (0, 255, 255, 0))
    np.testing.assert_allclose(
        decode(written(red, "JPEG", quality=95), RGB)[2, 2], (255, 0, 0), atol=6
    )


def test_a_palette_becomes_its_colours() -> None:
    image = Image.fromarray(COLOURS).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    for form in ("PNG", "GIF", "BMP"):
        np.testing.assert_array_equal(decode(written(image, form), RGB), expected)
        assert probe(written(image, form)) == (6, 8, 3)


def test_a_bit_becomes_black_or_white() -> None:
    bits = Image.fromarray(GREYS > 127)
    assert bits.mode == "1"
    np.testing.assert_array_equal(decode(written(bits), GREY)[..., 0], 255 * (GREYS > 127))


def test_sixteen_bits_keep_the_upper_eight() -> None:
    deep = GREYS.astype(np.uint16) * 256 + 77
    data = written(Image.fromarray(deep))
    assert probe(data) == (6, 8, 1)
    np.testing.assert_array_equal(decode(data, GREY)[..., 0], GREYS)


def test_alpha_lies_on_white() -> None:
    clear = written(Image.new("RGBA", (8, 6), (10, 20, 30, 0)))
    half = written(Image.new("LA", (8, 6), (0, 128)))
    np.testing.assert_array_equal(decode(clear, RGB), 255)
    np.testing.assert_allclose(decode(half, GREY), 127, atol=1)
    assert probe(half) == (6, 8, 1)


def test_a_transparent_colour_of_a_palette_lies_on_white() -> None:
    image = Image.new("P", (8, 6), 0)
    image.putpalette([9, 9, 9, 250, 0, 0])
    image.putpixel((0, 0), 1)
    for data in (written(image, transparency=0), written(image, "GIF", transparency=0)):
        pixels = decode(data, RGB)
        np.testing.assert_array_equal(pixels[0, 0], (250, 0, 0))
        np.testing.assert_array_equal(pixels[3, 3], 255)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_rotation_is_what_pillow_makes_of_it(turn: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    large = np.kron(COLOURS[..., :1], np.ones((8, 8, 1), np.uint8)).repeat(3, axis=2)
    data = written(Image.fromarray(large), form, exif=exif, quality=100)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("RGB"))
    height, width = expected.shape[:2]
    assert probe(data)[:2] == (height, width)
    pixels = decode(data, ImageSpec(height=height, width=width, channels=3))
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_text_that_is_called_exif_turns_nothing(is_packed: bool) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("exif", "II*", zip=is_packed)
    data = written(Image.fromarray(COLOURS), pnginfo=info)
    assert probe(data) == (6, 8, 3)
    np.testing.assert_array_equal(decode(data, RGB), COLOURS)


def test_the_first_of_many_frames_is_taken() -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    data = written(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(data, RGB), np.asarray(frames[0]))


def test_a_wide_picture_loses_its_sides_and_keeps_its_middle() -> None:
    wide = np.zeros((12, 48, 3), np.uint8)
    wide[:, 14:34] = 200
    pixels = decode(written(Image.fromarray(wide)), RGB)
    np.testing.assert_array_equal(pixels, 200)


def test_making_smaller_averages_and_does_not_drop_pixels() -> None:
    stripes = np.zeros((60, 80), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_allclose(decode(written(Image.fromarray(stripes)), GREY), 100, atol=12)


def test_a_large_jpeg_decoded_in_part_looks_like_the_whole() -> None:
    rows, columns = np.mgrid[0:480, 0:640]
    smooth = np.stack([rows // 2, columns // 3, (rows + columns) // 5], axis=2).astype(np.uint8)
    data = written(Image.fromarray(smooth), "JPEG", quality=95)
    whole = ImageOps.fit(Image.open(BytesIO(data)), (8, 6), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(decode(data, RGB), np.asarray(whole), atol=4)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_truncated_picture_is_named(form: str) -> None:
    noise = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = written(Image.fromarray(noise), form)
    with pytest.raises(DataError, match=r"cat\.png is damaged"):
        decode(data[: len(data) // 2], RGB, "cat.png")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]), st.data())
def test_changed_bytes_give_pixels_or_a_data_error(form: str, data: st.DataObject) -> None:
    content = bytearray(written(Image.fromarray(COLOURS), form))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(content), RGB)
    except DataError:
        return
    assert pixels.shape == (6, 8, 3)


@pytest.mark.parametrize("data", [b"", b"name,label\n", b"RIFF\x10\0\0\0WAVEfmt ", b"<svg/>"])
def test_what_is_no_picture_is_named(data: bytes) -> None:
    with pytest.raises(DataError, match=r"notes\.png is"):
        decode(data, RGB, "notes.png")
    with pytest.raises(DataError, match=r"notes\.png is"):
        probe(data, "notes.png")


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_refused_on_its_header(width: int, height: int) -> None:
    with pytest.raises(DataError, match=r"bomb\.png has .* pixels"):
        decode(png_header(width, height), RGB, "bomb.png")


def test_the_largest_picture_that_is_allowed_passes_the_header() -> None:
    height = MAX_PIXELS // 8000
    assert probe(png_header(8000, height)) == (height, 8000, 3)


def test_the_pixels_to_decode_are_told_before_and_a_jpeg_has_fewer() -> None:
    large = Image.new("RGB", (640, 480))
    assert decoded_pixels(written(large), RGB) == 640 * 480
    assert decoded_pixels(written(large, "JPEG"), RGB) == 640 * 480 // 64
    with pytest.raises(DataError, match="pixels"):
        decoded_pixels(png_header(10_000, 10_000), RGB)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    with file.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    for attempt in (lambda: prepare(file, RGB), lambda: probe(file, "large.png")):
        with pytest.raises(DataError, match=r"large\.png is"):
            attempt()


def test_a_path_may_be_text_or_a_path(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(written(Image.fromarray(COLOURS)))
    np.testing.assert_array_equal(prepare(file, RGB), COLOURS)
    np.testing.assert_array_equal(prepare(str(file), RGB), COLOURS)
    assert probe(file, "a.png") == (6, 8, 3)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(DataError, match=r"absent\.png cannot be read: no such file"):
        prepare("absent.png", RGB)
    with pytest.raises(DataError, match=r"absent\.png cannot be read: no such file"):
        probe(Path("x"), "absent.png")


def test_a_right_array_is_passed_on_uncopied() -> None:
    assert prepare(COLOURS, RGB) is COLOURS


def test_arrays_of_other_kinds_mean_the_same_pixels() -> None:
    for array in (COLOURS / 255, (COLOURS / 255).astype(np.float32), COLOURS.astype(np.int64)):
        np.testing.assert_array_equal(prepare(array, RGB), COLOURS)
    np.testing.assert_array_equal(prepare(GREYS, GREY)[..., 0], GREYS)
    np.testing.assert_array_equal(prepare(GREYS[..., None], RGB)[..., 1], GREYS)
    assert prepare(GREYS[:, ::-1], GREY).shape == (6, 8, 1)


def test_an_array_is_prepared_as_its_file_would_be() -> None:
    large = RANDOM.integers(0, 256, (33, 21, 4), dtype=np.uint8)
    data = written(Image.fromarray(large))
    for spec in (RGB, GREY):
        np.testing.assert_array_equal(prepare(large, spec), prepare(data, spec))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((6, 8), 1.5), "float64 from 1.5 to 1.5, outside 0 to 1"),
        (np.full((6, 8), -1), "from -1 to -1, outside 0 to 255"),
        (np.full((6, 8), 256), "outside 0 to 255"),
        (np.full((6, 8), np.nan), "NaN"),
        (np.array([[0.5, np.inf]]), "outside 0 to 1"),
        (np.zeros((3, 6, 8)), r"shape \(3, 6, 8\)"),
        (np.zeros((2, 6, 8, 3)), "shape"),
        (np.zeros((0, 8)), "shape"),
        (np.array([["a", "b"]]), "<U1"),
        (np.zeros((2, 2), bool), "bool"),
        (np.zeros((2, 2), object), "object"),
    ],
)
def test_an_array_that_is_no_picture_is_refused_with_what_is_expected(
    array: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        prepare(array, RGB)
    assert "floats 0 to 1" in caught.value.hint


def test_another_type_is_refused() -> None:
    with pytest.raises(DataError, match="of dict"):
        prepare({"b64": "..."}, RGB)  # type: ignore[arg-type]


@pytest.mark.data
def test_real_photos_become_what_the_spec_says(shared_data: Path) -> None:
    for file in sorted((shared_data / "photos").iterdir()):
        pixels = prepare(file, ImageSpec(height=48, width=64, channels=3))
        assert pixels.shape == (48, 64, 3)
        assert pixels.std() > 10


def test_a_preparer_prepares_for_its_own_spec() -> None:
    for spec in (RGB, GREY, ImageSpec(height=3, width=9, channels=3)):
        data = written(Image.fromarray(COLOURS))
        for make in (preparer(spec, {}), tasks_preparer(spec, {})):
            np.testing.assert_array_equal(make(data), prepare(data, spec))
            assert make(COLOURS).shape == (spec.height, spec.width, spec.channels)
