"""What a request's body may be, for each kind of input: one item as it is, or items in JSON.

Shapes: N batch, H height, W width, C channels, T samples of sound.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gcd
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.json import Decoder

from diptych.core.errors import DataError
from diptych.core.specs import AudioSpec, ImageSpec, OwnSpec, TableSpec, TextSpec
from diptych.serving.arrays import PICTURES, SOUNDS, array_of, nesting, parse_lists, uncollected
from diptych.serving.messages import BINARY, JSON, RequestError
from diptych.tasks import audio, image

CHANNELS = (1, 2, 3, 4)
MAX_ITEMS = 1024
MAX_SOUND_VALUES = 10_000_000
MAX_PICTURE_PIXELS = 16_000_000
LARGE_SOUND_VALUES = 1_000_000
LARGE_PICTURE_PIXELS = 250_000
"""More take some 10 ms."""
MAX_ANSWER_VALUES = 2_000_000
MAX_SCANS = 100
MAX_RATIO = 5_000
JPEG = b"\xff\xd8"
SCAN = b"\xff\xda\x00"
"""How a scan of a JPEG begins: its marker, and of its length the high byte, which is always 0."""
Parsed = tuple[list[Any], bool]
"""Items, and whether they came as a list, so that a list is the answer."""
Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class Bodies:
    """How items of one kind are sent.

    `media` are the content-types (or how they begin) of a body that is one item; the first is
    taken where none is said. `parse` reads JSON; without it, JSON is an item as it is. `check`
    refuses an item that would take too long, from its header, and says of others whether they are
    large; `decode` then prepares it as the model would. Both are told the model's spec.
    """

    media: tuple[bytes, ...]
    parse: Callable[[bytes], Parsed] | None
    expected: str
    check: Callable[[bytes, Any], bool] | None = None
    decode: Callable[[bytes, Any], np.ndarray] | None = None

    @property
    def default(self) -> bytes:
        """The content-type of a body that does not say."""
        return self.media[0] if self.media else JSON


def is_batch(shape: tuple[int, ...]) -> bool:
    """Tell a batch from one picture.

    Args:
        shape: (H, W), (H, W, C), (N, H, W) or (N, H, W, C).

    Returns:
        True for (N, H, W, C), and for (N, H, W) unless its last axis is 1 to 4: that is C.
    """
    return len(shape) == 4 or (len(shape) == 3 and shape[-1] not in CHANNELS)


def check_items(num_items: int) -> None:
    """Check that a batch is not too long for one request.

    Args:
        num_items: The number of items.

    Raises:
        DataError: If there are more than 1,024.
    """
    if num_items > MAX_ITEMS:
        raise DataError(
            f"{num_items} items in one request, at most {MAX_ITEMS} are allowed",
            "send several requests",
        )


def check_values(num_items: int, num_labels: int) -> None:
    """Check that the answer to a batch is not too large.

    Args:
        num_items: The number of items.
        num_labels: The number of values that each is answered with.

    Raises:
        DataError: If there are more than 2 million values.
    """
    num_values = num_items * num_labels
    if num_values > MAX_ANSWER_VALUES:
        raise DataError(
            f"{num_items} items of {num_labels:,} labels make {num_values:,} values, at most "
            f"{MAX_ANSWER_VALUES:,} are allowed in one answer",
            "send fewer items per request",
        )


def parse_pictures(body: bytes) -> Parsed:
    """Read pixels.

    Args:
        body: JSON: an array (H, W), (H, W, C), (N, H, W) or (N, H, W, C).

    Returns:
        uint8 where all numbers are whole, else float64.
    """
    lists = parse_lists(body, PICTURES)
    if nesting(body) == max(PICTURES):
        check_items(len(lists))
    pixels = array_of(lists)
    if pixels.dtype.kind == "i":
        pixels = pixels.astype(np.uint8)
    if not is_batch(pixels.shape):
        return [pixels], False
    check_items(len(pixels))
    return list(pixels), True


def check_picture(body: bytes, spec: ImageSpec) -> bool:
    """Refuse a picture that is small when compressed, but would keep the server busy.

    Args:
        body: The content of a picture file.
        spec: What the model takes; it decides how much of a large JPEG is decoded.

    Returns:
        Whether it takes long enough to keep others waiting.

    Raises:
        DataError: If more than 16 million pixels would be decoded, or it is a JPEG of more than 100
            scans, each of which goes over all of them.
    """
    num_scans = body.count(SCAN) if body.startswith(JPEG) else 0
    if num_scans > MAX_SCANS:
        raise DataError(
            f"the picture has {num_scans:,} scans, more than {MAX_SCANS}",
            "save it as a JPEG that is not progressive",
        )
    num_pixels = image.decoded_pixels(body, spec)
    if num_pixels > MAX_PICTURE_PIXELS:
        raise DataError(
            f"the picture has {num_pixels:,} pixels, more than {MAX_PICTURE_PIXELS:,}",
            "make it smaller, or send a JPEG, which may be larger",
        )
    return num_pixels * max(1, num_scans) > LARGE_PICTURE_PIXELS


def parse_sounds(body: bytes) -> Parsed:
    """Read samples of sound.

    Args:
        body: JSON: an array (T,), or a list of these, of any lengths.

    Returns:
        int64 or float64 arrays (T,).
    """
    lists = parse_lists(body, SOUNDS)
    if nesting(body) == 1:
        return [np.array(lists)], False
    check_items(len(lists))
    return [np.array(samples) for samples in lists], True


def check_sound(body: bytes, spec: AudioSpec) -> bool:
    """Refuse a sound that is small, but would keep the server busy.

    Args:
        body: The content of a sound file; WAV is as large as it says.
        spec: What the model takes; a filter is made to bring the sound to its rate.

    Returns:
        Whether it takes long enough to keep others waiting.

    Raises:
        DataError: If it is compressed and would be longer than 10 million samples, or the ratio of
            the rates needs a number above 5,000: that of two usual rates does not.
    """
    header = audio.probe(body)
    if body.startswith((b"fLaC", b"OggS")) and header.frames * header.channels > MAX_SOUND_VALUES:
        seconds = MAX_SOUND_VALUES // (header.sample_rate * header.channels)
        raise DataError(
            f"the sound lasts {header.seconds:,.0f} s", f"send at most {seconds} s of this kind"
        )
    rates = (header.sample_rate, spec.sample_rate)
    if max(rates) // gcd(*rates) > MAX_RATIO:
        raise DataError(
            f"the sound has {header.sample_rate:,} samples per second, an odd rate to bring to "
            f"{spec.sample_rate:,}",
            f"send {spec.sample_rate:,} samples per second",
        )
    return header.frames * header.channels > LARGE_SOUND_VALUES


class _Text(Struct, forbid_unknown_fields=True):
    text: str


Cell = str | int | float | bool | None
Text = str | _Text
TEXTS: Decoder[Text | list[Text]] = Decoder(Text | list[Text])
ROWS: Decoder[dict[str, Cell] | list[dict[str, Cell]]] = Decoder(
    dict[str, Cell] | list[dict[str, Cell]]
)


def parse_texts(body: bytes) -> Parsed:
    """Read texts.

    Args:
        body: JSON: a string, an object with the key ``text``, or a list of these.

    Returns:
        The texts.
    """
    found = _decode(TEXTS, body)
    texts = found if isinstance(found, list) else [found]
    return [text if isinstance(text, str) else text.text for text in texts], texts is found


def parse_rows(body: bytes) -> Parsed:
    """Read rows.

    Args:
        body: JSON: an object of column names to cells, or a list of these.

    Returns:
        The rows.
    """
    found = _decode(ROWS, body)
    return (found, True) if isinstance(found, list) else ([found], False)


def _decode(decoder: Decoder[Kind], body: bytes) -> Kind:
    try:
        with uncollected():
            found = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise DataError(f"the body cannot be used: {error}") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(
            f"the body is not JSON: {error}", "check its quotes and commas"
        ) from error
    if found == []:
        raise DataError("the list is empty")
    return found


BODIES: Mapping[type, Bodies] = {
    ImageSpec: Bodies(
        media=(BINARY, b"image/"),
        parse=parse_pictures,
        expected="send a picture with its content-type, such as image/png, or pixels as "
        "application/json: an array (H, W), (H, W, C) or (N, H, W, C) of integers 0 to 255 or "
        "floats 0 to 1",
        check=check_picture,
        decode=image.decode,
    ),
    AudioSpec: Bodies(
        media=(BINARY, b"audio/"),
        parse=parse_sounds,
        expected="send a sound with its content-type, such as audio/wav, or samples at the model's "
        "rate as application/json: an array (T,), or a list of these, of integers of 16 bits or "
        "floats -1 to 1",
        check=check_sound,
        decode=audio.decode,
    ),
    TextSpec: Bodies(
        media=(b"text/plain",),
        parse=parse_texts,
        expected='send a text as text/plain in UTF-8, or as application/json: "a text", '
        '{"text": "a text"}, or a list of these',
    ),
    TableSpec: Bodies(
        media=(),
        parse=parse_rows,
        expected="send a row as application/json: an object of column names to cells, or a list of "
        "these",
    ),
    OwnSpec: Bodies(
        media=(BINARY, b""), parse=None, expected="send the content of one file of the task's kind"
    ),
}
