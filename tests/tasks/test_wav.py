import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.tasks.wav import WavHeader, read_header, read_samples

soundfile = pytest.importorskip("soundfile")

NOISE = np.random.default_rng(0).uniform(-1, 1, (50, 2))


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    padding = b"\0" * (len(content) & 1)
    return kind + struct.pack("<I", len(content) if length is None else length) + content + padding


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def form(encoding: int = 1, channels: int = 1, bits: int = 16, block: int | None = None) -> bytes:
    block = channels * bits // 8 if block is None else block
    return chunk(b"fmt ", struct.pack("<HHIIHH", encoding, channels, 8000, 0, block, bits))


def header(data: bytes) -> WavHeader:
    return read_header(io.BytesIO(data), len(data), "a.wav")


def samples(data: bytes) -> np.ndarray:
    return read_samples(io.BytesIO(data), header(data))


def written(subtype: str, channels: int, kind: str = "WAV") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, NOISE[:, :channels], 11_025, subtype, format=kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_plain_encoding_reads_as_the_library_does(
    subtype: str, channels: int, kind: str
) -> None:
    data = written(subtype, channels, kind)
    dtype = "int16" if subtype == "PCM_16" else "float32"
    expected, rate = soundfile.read(io.BytesIO(data), dtype=dtype, always_2d=True)
    told = header(data)
    assert (told.sample_rate, told.channels, told.frames) == (rate, channels, 50)
    np.testing.assert_array_equal(samples(data), expected)
    assert samples(data).dtype == expected.dtype


def test_what_the_standard_library_writes_is_read() -> None:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.arange(-5, 5, dtype="<i2").tobytes())
    np.testing.assert_array_equal(samples(stream.getvalue())[:, 0], np.arange(-5, 5))


def test_other_chunks_are_passed_over() -> None:
    data = riff(chunk(b"LIST", b"odd"), form(), chunk(b"cue ", b"1234"), chunk(b"data", b"\1\0"))
    np.testing.assert_array_equal(samples(data), [[1]])


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_length_that_was_not_known_means_to_the_end(length: int) -> None:
    assert header(riff(form(), chunk(b"data", bytes(20), length))).frames == 10


def test_what_follows_the_samples_is_no_sample() -> None:
    assert header(riff(form(), chunk(b"data", bytes(20)), chunk(b"LIST", bytes(8)))).frames == 10


def test_half_a_sample_at_the_end_is_dropped() -> None:
    assert samples(riff(form(channels=2), chunk(b"data", bytes(7)))).shape == (1, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (riff(form(), chunk(b"data", bytes(20), 4000)), "4,000 bytes of sound, 20 are there"),
        (riff(form()), "without samples"),
        (riff(chunk(b"data", bytes(20)), form()), "without samples"),
        (riff(), "without samples"),
        (riff(chunk(b"fmt ", bytes(8))), "header is cut off"),
        (riff(form(encoding=2, bits=4)), "encoding 2 with 4 bits"),
        (riff(form(encoding=7, bits=8)), "encoding 7 with 8 bits"),
        (riff(form(bits=12)), "encoding 1 with 12 bits"),
        (riff(form(channels=0)), "0 channels"),
        (riff(form(channels=2, block=2)), "2 channels of 16 bits in blocks of 2 bytes"),
    ],
)
def test_what_is_wrong_is_told(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        header(data)
    assert caught.value.message.startswith("a.wav")
    assert caught.value.hint


def test_endless_chunks_are_given_up() -> None:
    with pytest.raises(DataError, match="without samples"):
        header(riff(*[chunk(b"junk", b"")] * 5000, form(), chunk(b"data", bytes(20))))


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_garbage_is_read_or_refused(garbage: bytes, start: int) -> None:
    whole = riff(form(channels=2), chunk(b"data", bytes(40)))
    data = whole[:start] + garbage
    try:
        told = header(data)
    except DataError:
        return
    assert read_samples(io.BytesIO(data), told).shape == (told.frames, told.channels)
