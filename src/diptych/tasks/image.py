"""Pictures: from a file's bytes or an array to the pixels that a graph takes.

Limits are checked on the header, before anything is decoded.
Shapes: H height, W width, C channels (1 grey, 3 RGB).
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from diptych.core.errors import DataError
from diptych.core.specs import ImageSpec
from diptych.core.text import size
from diptych.core.values import Assets
from diptych.tasks.orientation import TURNS, orientation
from diptych.tasks.watched import watched

MAX_FILE_BYTES = 64 << 20
MAX_PIXELS = 64_000_000
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
# Opened by their first bytes and not by Image.open, whose pixel limit is a process-wide setting.
OPENERS: dict[bytes, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"RIFF": WebPImageFile,
    b"GIF8": GifImageFile,
    b"BM": BmpImageFile,
}
WATCHED = (JpegImageFile, PngImageFile, GifImageFile)
DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError, MemoryError),
    *(struct.error, zlib.error),
)
EXPECTED = (
    "give the content or the path of a picture, or an array (H, W) or (H, W, C) of integers "
    "0 to 255 or floats 0 to 1"
)


def preparer(
    spec: ImageSpec, assets: Assets
) -> Callable[[bytes | str | Path | np.ndarray], np.ndarray]:
    """Make what turns pictures and arrays into the pixels that a graph takes.

    Args:
        spec: The size and channels wanted.
        assets: Not used.

    Returns:
        :func:`prepare` for this spec.
    """
    return partial(prepare, spec=spec)


def prepare(value: bytes | str | Path | np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Turn a picture or an array into the pixels that a graph takes.

    Args:
        value: The content of a picture file, its path, or an array (H, W) or (H, W, C) with 1 to 4
            channels (grey, grey and alpha, RGB, RGBA) of integers 0 to 255 or floats 0 to 1.
        spec: The size and channels wanted.

    Returns:
        uint8 (H, W, C); the array itself where it is right already.

    Raises:
        DataError: If it is not a picture, too large, damaged, or out of range.
    """
    if isinstance(value, np.ndarray):
        if value.dtype == np.uint8 and value.shape == (spec.height, spec.width, spec.channels):
            return value
        return _finish(_from_array(value), spec)
    if isinstance(value, bytes):
        return decode(value, spec)
    if isinstance(value, str | Path):
        return decode(read_file(Path(value)), spec, str(value))
    raise DataError(f"cannot make a picture of {type(value).__name__}", EXPECTED)


def decode(data: bytes, spec: ImageSpec, name: str = "input") -> np.ndarray:
    """Decode a picture: turned as its EXIF says, alpha on white, first frame, resized if needed.

    Args:
        data: The content of a JPEG, PNG, WebP, BMP or GIF file.
        spec: The size and channels wanted; where the size differs, the short side is resized and
            the centre cut out.
        name: What to call it in an error.

    Returns:
        uint8 (H, W, C).

    Raises:
        DataError: If it is not such a picture, too large, or damaged.
    """
    with _open(BytesIO(data), len(data), name) as image:
        _draft(image, spec)
        with _naming(name):
            image.load()
            upright = _upright(image)
        return _finish(upright, spec)


def probe(data: bytes | Path, name: str = "input") -> tuple[int, int, int]:
    """Read a picture's size from its header.

    Args:
        data: The content of a picture file, or its path.
        name: What to call it in an error.

    Returns:
        Height and width as a person sees it (after EXIF rotation), and channels, 1 or 3.

    Raises:
        DataError: If it is not a picture, too large, or its header is damaged.
    """
    if isinstance(data, bytes):
        return _probe(BytesIO(data), len(data), name)
    with _reading(name), data.open("rb") as file:
        return _probe(file, data.stat().st_size, name)


def decoded_pixels(data: bytes, spec: ImageSpec) -> int:
    """Tell from a picture's header how much :func:`decode` would decode.

    Args:
        data: The content of a picture file.
        spec: The size and channels wanted.

    Returns:
        Pixels; of a large JPEG only those that are left when it is decoded in part.

    Raises:
        DataError: If it is not a picture, too large, or its header is damaged.
    """
    with _open(BytesIO(data), len(data), "input") as image:
        _draft(image, spec)
        return image.width * image.height


def read_file(path: Path, name: str | None = None) -> bytes:
    """Read a picture's file, if it is not too large.

    Args:
        path: The file.
        name: What to call it in an error; by default its path.

    Returns:
        Its content.

    Raises:
        DataError: If it is absent, cannot be read, or is larger than ``MAX_FILE_BYTES``.
    """
    with _reading(name or str(path)):
        _check_file_size(path.stat().st_size, name or str(path))
        return path.read_bytes()


def _open(file: BinaryIO, size_bytes: int, name: str) -> ImageFile.ImageFile:
    _check_file_size(size_bytes, name)
    start = file.read(12)
    file.seek(0)
    opener = next((OPENERS[magic] for magic in OPENERS if start.startswith(magic)), None)
    if opener is None:
        raise DataError(
            f"{name} is not a JPEG, PNG, WebP, BMP or GIF picture (it begins with {start!r})",
            "convert it, or take it out",
        )
    with _naming(name):
        image = opener(watched(file) if opener in WATCHED else file)
    _check_pixels(image.width, image.height, name)
    return image


def _draft(image: ImageFile.ImageFile, spec: ImageSpec) -> None:
    """Have a large JPEG decoded at 1/2, 1/4 or 1/8."""
    side = 2 * max(spec.height, spec.width)
    image.draft(None, (side, side))


def _probe(file: BinaryIO, size_bytes: int, name: str) -> tuple[int, int, int]:
    with _open(file, size_bytes, name) as image:
        width, height = image.size
        if orientation(image.info.get("exif", b"")) >= 5:
            width, height = height, width
        return height, width, 1 if _is_grey(image) else 3


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None:
        order, colours = image.palette.getdata()
        return order == "RGB" and colours[0::3] == colours[1::3] == colours[2::3]
    return image.mode in {"1", "L", "LA", "I", "I;16"}


def _upright(image: Image.Image) -> Image.Image:
    turn = TURNS.get(orientation(image.info.get("exif", b"")))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = _on_white(image)
    return image if turn is None else image.transpose(turn)


def _on_white(image: Image.Image) -> Image.Image:
    opaque = Image.new("RGBA", image.size, "white")
    opaque.alpha_composite(image.convert("RGBA"))
    return opaque.convert("RGB")


def _finish(image: Image.Image, spec: ImageSpec) -> np.ndarray:
    mode = "L" if spec.channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (spec.width, spec.height):
        image = ImageOps.fit(image, (spec.width, spec.height), Image.Resampling.BILINEAR)
    return np.array(image).reshape(spec.height, spec.width, spec.channels)


def _from_array(array: np.ndarray) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in {2, 3} or channels not in {1, 2, 3, 4} or array.size == 0:
        raise DataError(f"an array of shape {array.shape} is not a picture", EXPECTED)
    _check_pixels(array.shape[1], array.shape[0], "the array")
    pixels = np.ascontiguousarray(_as_uint8(array))
    image = Image.fromarray(pixels[..., 0] if array.ndim == 3 and channels == 1 else pixels)
    return _on_white(image) if channels in {2, 4} else image


def _as_uint8(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iuf":
        raise DataError(f"an array of {array.dtype} is not a picture", EXPECTED)
    low, high = array.min(), array.max()
    if np.isnan(low):
        raise DataError("the array holds NaN", EXPECTED)
    top = 1 if array.dtype.kind == "f" else 255
    if low < 0 or high > top:
        seen = f"{array.dtype} from {low:g} to {high:g}"
        raise DataError(f"the array holds {seen}, outside 0 to {top}", EXPECTED)
    pixels: np.ndarray = np.rint(array * (255 // top)).astype(np.uint8)
    return pixels


def _check_file_size(size_bytes: int, name: str) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise DataError(f"{name} is {size(size_bytes)}", f"the limit is {size(MAX_FILE_BYTES)}")


def _check_pixels(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{name} has {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} million",
            "make it smaller",
        )


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} has too many pixels: {error}", "make it smaller") from error
    except DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{name} is damaged: {reason}", "repair it, or take it out") from error


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # the latter of a path with a zero
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DataError(
            f"{name} cannot be read: {reason}", "check the path and its rights"
        ) from error
