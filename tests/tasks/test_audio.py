"""Sounds of every kind that users bring, made here, and what they must become."""

import io
import struct
import sys
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from diptych.core.errors import DataError, MissingExtraError
from diptych.core.specs import AudioSpec
from diptych.tasks.audio import (
    MAX_CHANNELS,
    MAX_FILE_BYTES,
    MAX_SECONDS,
    SoundHeader,
    hop_samples,
    prepare,
    preparer,
    probe,
)

soundfile = pytest.importorskip("soundfile")

SPEC = AudioSpec(sample_rate=8000, samples=1000)
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(-8000, 8000, 1000).astype(np.int16)


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(samples.shape[1] if samples.ndim == 2 else 1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return stream.getvalue()


def written(samples: np.ndarray, kind: str, subtype: str | None = None, rate: int = 8000) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, subtype, format=kind)
    return stream.getvalue()


def wav_header(frames: int, channels: int = 1, rate: int = 8000) -> bytes:
    shape = struct.pack("<HHIIHH", 1, channels, rate, 0, 2 * channels, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + shape + b"data" + struct.pack("<I", 2 * frames)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_lossless_samples_come_back_as_they_were(kind: str) -> None:
    data = written(NOISE, kind)
    np.testing.assert_array_equal(prepare(data, SPEC), NOISE)
    assert probe(data) == SoundHeader(sample_rate=8000, channels=1, frames=1000)


def test_ogg_comes_back_nearly_as_it_was() -> None:
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    spec = AudioSpec(sample_rate=8000, samples=8000)
    got = prepare(written(tone.astype(np.int16), "OGG"), spec).astype(float)
    assert np.corrcoef(got, tone)[0, 1] > 0.99


def test_bytes_a_path_and_an_array_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(NOISE))
    path = tmp_path / "a.wav"
    prepared = preparer(SPEC, {})
    for value in (wav(NOISE), path, str(path), NOISE, NOISE[:, None], NOISE / 32_768):
        np.testing.assert_array_equal(prepared(value), NOISE)
    assert prepared(NOISE) is NOISE


def test_channels_are_averaged() -> None:
    both = RANDOM.integers(-8000, 8000, (1000, 2)).astype(np.int16)
    expected = np.rint(both.mean(axis=1))
    np.testing.assert_array_equal(prepare(wav(both), SPEC), expected)
    np.testing.assert_array_equal(prepare(both, SPEC), expected)


@pytest.mark.parametrize("rate", [4000, 16_000, 44_100])
def test_other_rates_are_resampled(rate: int) -> None:
    sound = (8000 * np.sin(np.arange(rate // 8) / 9)).astype(np.int16)
    got = prepare(wav(sound, rate), SPEC)
    expected = resample_poly(sound, 8000 // np.gcd(rate, 8000), rate // np.gcd(rate, 8000))
    np.testing.assert_allclose(got[: len(expected)], expected[:1000], atol=0.51)


@given(st.integers(1, 999))
def test_a_shorter_sound_lies_in_the_middle_of_silence(length: int) -> None:
    got = prepare(np.full(length, 7, np.int16), SPEC)
    before = (1000 - length) // 2
    np.testing.assert_array_equal(np.flatnonzero(got), np.arange(before, before + length))


@given(st.integers(0, 2000))
def test_of_a_longer_sound_the_loudest_part_is_taken(start: int) -> None:
    sound = np.ones(3000, np.int16)
    sound[start : start + 1000] = NOISE + 9000
    np.testing.assert_array_equal(prepare(sound, SPEC), NOISE + 9000)


def test_silence_is_a_sound() -> None:
    assert not prepare(wav(np.zeros(500)), SPEC).any()
    assert not prepare(np.zeros(3000, np.int16), SPEC).any()


def test_floats_beyond_full_scale_are_clipped() -> None:
    data = written(np.array([0.5, 1.5, -1.5]), "WAV", "FLOAT")
    got = prepare(data, AudioSpec(sample_rate=8000, samples=256))
    np.testing.assert_array_equal(got[got != 0], [16_384, 32_767, -32_768])


def test_lists_of_whole_numbers_as_json_has_them_are_samples() -> None:
    np.testing.assert_array_equal(prepare(np.array(NOISE.tolist()), SPEC), NOISE)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (wav(np.zeros(0)), "0 samples"),
        (wav_header(40_000)[:60], "cut off"),
        (wav_header(500) + bytes(200), "1,000 bytes of sound, 200 are there"),
        (wav_header(0, rate=10), "10 samples per second"),
        (b"", "is empty: it has 0 bytes"),
        (b"ID3\x03" + bytes(50), "not a WAV, FLAC or OGG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "not a WAV, FLAC or OGG"),
        (b"fLaC" + bytes(50), "damaged"),
        (b"OggS" + bytes(50), "damaged"),
        (written(NOISE, "FLAC")[:900], "cut off|damaged"),
        (written(NOISE, "WAV", "ULAW"), "encoding 7"),
        (written(np.array([0.0, np.nan]), "WAV", "FLOAT"), "NaN"),
        (written(np.array([0.0, np.inf]), "WAV", "DOUBLE"), "NaN or infinity"),
        (written(np.array([0.0, 900.0]), "WAV", "FLOAT"), "from 0 to 900"),
        (written(np.zeros((10, 2)), "WAV").replace(b"\x02\0@\x1f", b"\x32\0@\x1f"), "50 channels"),
        (np.zeros((2, 2, 2), np.int16), r"shape \(2, 2, 2\)"),
        (np.zeros((2, 8000), np.int16), r"shape \(2, 8000\)"),
        (np.zeros(0, np.int16), r"shape \(0,\)"),
        (np.array([40_000, 0]), "from 0 to 40000"),
        (np.array([3000.0, 0]), "from 0 to 3000"),
        (np.array([np.nan]), "NaN"),
        (np.array(["a"]), "an array of <U1"),
        (np.zeros(3, complex), "an array of complex128"),
        (3, "int"),
        ({"a": 1}, "dict"),
        (Path("nowhere.wav"), "nowhere.wav cannot be read"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(value: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        prepare(value, SPEC)  # type: ignore[arg-type]  # wrong on purpose
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_ten_hours_are_refused_by_the_header(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    frames = 36_000 * 8000
    with path.open("wb") as file:
        file.write(wav_header(frames))
        file.truncate(44 + 2 * frames)  # sparse: no disk is filled
    for attempt in (lambda: probe(path, "long.wav"), lambda: prepare(path, SPEC)):
        with pytest.raises(DataError, match=r"long.wav (is 576|lasts)"):
            attempt()


def test_a_long_sound_in_few_bytes_is_refused() -> None:
    silence = written(np.zeros(8000 * (MAX_SECONDS + 1), np.int16), "FLAC")
    assert len(silence) < MAX_FILE_BYTES / 100
    with pytest.raises(DataError, match="lasts 601 s"):
        prepare(silence, SPEC)


def test_a_header_read_from_a_file_or_bytes_is_the_same(tmp_path: Path) -> None:
    for kind in ("WAV", "FLAC", "OGG"):
        data = written(np.zeros((500, 2)), kind, rate=44_100)
        (tmp_path / "a").write_bytes(data)
        expected = SoundHeader(sample_rate=44_100, channels=2, frames=500)
        assert probe(tmp_path / "a") == probe(data) == expected


def test_wav_needs_no_library_and_flac_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    flac = written(NOISE, "FLAC")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    np.testing.assert_array_equal(prepare(wav(NOISE), SPEC), NOISE)
    with pytest.raises(MissingExtraError, match="soundfile") as caught:
        prepare(flac, SPEC)
    assert "diptych[audio]" in caught.value.hint


@pytest.mark.parametrize(("rate", "hop"), [(8000, 128), (16_000, 256), (11_025, 128), (1000, 16)])
def test_a_hop_is_near_16_ms(rate: int, hop: int) -> None:
    assert hop_samples(rate) == hop


def test_as_many_channels_as_the_limit_are_read() -> None:
    assert prepare(np.ones((9, MAX_CHANNELS), np.int16), SPEC).sum() == 9


@settings(deadline=None)
@given(st.sampled_from(["WAV", "FLAC", "OGG"]), st.data())
def test_damaged_files_are_read_or_refused(kind: str, data: st.DataObject) -> None:
    content = bytearray(written(NOISE[:300], kind))
    places = data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8))
    for place in places:
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    with suppress(DataError):
        got = prepare(bytes(content), SPEC)
        assert got.shape == (1000,)
        assert got.dtype == np.int16
