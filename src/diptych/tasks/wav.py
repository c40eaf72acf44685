"""WAV files of plain numbers: integers of 8 to 32 bits, floats of 32 or 64, read without a library.

Only the header is believed, and only as far as the file goes.
Shapes: T samples, C channels.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from diptych.core.errors import DataError

MAX_CHUNKS = 1000
INTEGER, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
KINDS = {
    (INTEGER, 8): "u1",
    (INTEGER, 16): "<i2",
    (INTEGER, 24): "u1",
    (INTEGER, 32): "<i4",
    (FLOAT, 32): "<f4",
    (FLOAT, 64): "<f8",
}
UNTOLD_BYTES = 0x7FFF0000
"""From this size on, a program did not know how long its recording would get."""


@dataclass(frozen=True, kw_only=True)
class WavHeader:
    """What a WAV file says of itself; `start` and `size_bytes` are where the samples lie."""

    encoding: int
    channels: int
    sample_rate: int
    bits: int
    start: int
    size_bytes: int

    @property
    def frames(self) -> int:
        """How many samples each channel has."""
        return self.size_bytes // (self.channels * self.bits // 8)


def read_header(file: BinaryIO, size_bytes: int, name: str) -> WavHeader:
    """Read a WAV file's header, up to where its samples begin.

    Args:
        file: The file, at its beginning.
        size_bytes: The size of the file.
        name: What to call it in an error.

    Returns:
        The header, its sizes checked against the file's.

    Raises:
        DataError: If it is damaged, cut off, or its samples are not plain numbers.
    """
    file.seek(12)
    shape: tuple[int, int, int, int] | None = None
    for kind, length in _chunks(file, size_bytes):
        if kind == b"fmt ":
            shape = _shape(file.read(min(length, 40)), name)
        elif kind == b"data" and shape:
            return _header(shape, file.tell(), length, size_bytes - file.tell(), name)
    raise DataError(f"{name} is damaged: a WAV file without samples", "record it again")


def read_samples(file: BinaryIO, header: WavHeader) -> np.ndarray:
    """Read the samples that a header tells of.

    Args:
        file: The file.
        header: From :func:`read_header`.

    Returns:
        (T, C): int16 where the file has 16 bits, else float32 with a full scale of 1.
    """
    file.seek(header.start)
    width = header.bits // 8 * header.channels
    content = file.read(header.frames * width)
    flat = np.frombuffer(content, KINDS[header.encoding, header.bits])
    return _scaled(flat, header).reshape(-1, header.channels)


def _chunks(file: BinaryIO, size_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Go from chunk to chunk; the file is left where each one's content begins."""
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        kind, length = struct.unpack("<4sI", head)
        start = file.tell()
        yield kind, length
        if start + length > size_bytes:
            return
        file.seek(start + length + (length & 1))


def _shape(content: bytes, name: str) -> tuple[int, int, int, int]:
    """Read the chunk that tells encoding, channels, rate and bits."""
    if len(content) < 16:
        raise DataError(f"{name} is damaged: its header is cut off", "record it again")
    encoding, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", content)
    if encoding == EXTENSIBLE and len(content) >= 26:
        encoding = struct.unpack_from("<H", content, 24)[0]
    if (encoding, bits) not in KINDS:
        raise DataError(
            f"{name} is a WAV file of encoding {encoding} with {bits} bits",
            "convert it to PCM of 16 bits, such as with ffmpeg -c:a pcm_s16le",
        )
    if not channels or block != channels * bits // 8:
        raise DataError(
            f"{name} is damaged: {channels} channels of {bits} bits in blocks of {block} bytes",
            "record it again",
        )
    return encoding, channels, rate, bits


def _header(
    shape: tuple[int, int, int, int], start: int, told: int, there: int, name: str
) -> WavHeader:
    encoding, channels, rate, bits = shape
    if told > there and told < UNTOLD_BYTES:
        raise DataError(
            f"{name} is cut off: its header tells of {told:,} bytes of sound, {there:,} are there",
            "copy or record it again",
        )
    return WavHeader(
        encoding=encoding,
        channels=channels,
        sample_rate=rate,
        bits=bits,
        start=start,
        size_bytes=min(told, there),
    )


def _scaled(flat: np.ndarray, header: WavHeader) -> np.ndarray:
    if header.bits == 16:
        return flat
    if header.encoding == FLOAT:
        with np.errstate(over="ignore", invalid="ignore"):
            return flat.astype(np.float32)
    if header.bits == 8:
        return (flat.astype(np.float32) - 128) / 128
    if header.bits == 24:
        low, middle, high = flat.reshape(-1, 3).astype(np.int32).T
        whole = low | middle << 8 | (high ^ 0x80) - 0x80 << 16
        return (whole / 2**23).astype(np.float32)
    return (flat / 2**31).astype(np.float32)
