"""Sounds that people send: told in one line or handled, in training, in `predict` and over HTTP."""

import asyncio
import json
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from diptych.cli.main import run
from diptych.inference.bundle import Bundle, load
from diptych.serving.app import Application
from diptych.serving.body import Limits

RATE = 8000
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, RATE // 4)


def sound(samples: np.ndarray, rate: int = RATE, kind: str = "PCM_16", file: str = "WAV") -> bytes:
    content = BytesIO()
    soundfile.write(content, samples, rate, subtype=kind, format=file)
    return content.getvalue()


def changed(content: bytes, place: int, kind: str, value: int) -> bytes:
    spoiled = bytearray(content)
    struct.pack_into(kind, spoiled, place, value)
    return bytes(spoiled)


GOOD = sound(NOISE)
LENGTH = 40
BAD = {
    "a length that is a lie": (changed(GOOD, LENGTH, "<I", 10**6), "tells of 1,000,000 bytes"),
    "ten hours in a header": (changed(GOOD, LENGTH, "<I", 36_000 * 16_000), "is cut off"),
    "ten hours in FLAC": (
        changed(sound(NOISE, file="FLAC"), 18, ">Q", RATE << 44 | 15 << 36 | 36_000 * RATE),
        "lasts 36,000 s, more than 600 s",
    ),
    "no samples": (sound(NOISE[:0]), "is empty: it has 0 samples"),
    "no bytes": (b"", "is empty: it has 0 bytes"),
    "half a header": (GOOD[:30], "header is cut off"),
    "u-law": (sound(NOISE, kind="ULAW"), "encoding 7 with 8 bits"),
    "an MP3": (b"ID3\4" + bytes(90), "not a WAV, FLAC or OGG sound"),
    "a text": (b"hello", "it begins with b'hello'"),
    "a rate of 0": (changed(GOOD, 24, "<I", 0), "0 samples per second"),
    "no channels": (changed(GOOD, 22, "<H", 0), "0 channels"),
    "floats that are none": (sound(np.array([0, np.nan]), kind="FLOAT"), "NaN or infinity"),
}


def folder(place: Path, write: Callable[[int], bytes] = lambda _: GOOD) -> Path:
    for label in ("on", "off"):
        (place / label).mkdir(parents=True)
        for number in range(8):
            (place / label / f"{number}.wav").write_bytes(write(number))
    return place


@pytest.fixture(scope="module")
def model(kind_bundle) -> Iterator[Bundle]:
    with load(kind_bundle("audio").path) as opened:
        yield opened


@pytest.fixture(scope="module")
def post(model) -> Callable[..., tuple[int, dict]]:
    app = Application({"sounds": model}, Limits(max_body_bytes=1 << 20))

    def post(body: bytes, media: bytes = b"audio/wav") -> tuple[int, dict]:
        sent: list[dict] = []

        async def receive() -> dict:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict) -> None:
            sent.append(message)

        headers = [(b"content-type", media)]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
        asyncio.run(app(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])

    return post


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_a_bad_sound_is_the_same_line_everywhere(model, post, tmp_path, capsys, content, words):
    file = tmp_path / "bad.wav"
    file.write_bytes(content)
    assert run(["predict", str(model.path), str(file)]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert words in error
    assert hint.endswith("--skip-unreadable leaves it out")
    status, answer = post(content)
    assert status == 422
    assert words in answer["error"]
    assert answer["hint"]


def test_bad_sounds_are_named_in_training_and_left_out_where_that_is_asked_for(tmp_path, capsys):
    place = folder(tmp_path / "words")
    for name, (content, _) in zip("abcdefghijkl", BAD.values(), strict=True):
        (place / "on" / f"{name}.wav").write_bytes(content)
    assert run(["fit", str(place)]) == 2
    error = capsys.readouterr().err
    assert "12 of 28 sounds cannot be read (on/a.wav is cut off" in error
    assert "and 9 more" in error
    assert "--skip-unreadable" in error
    assert run(["inspect", str(place), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    reasons = [each["reason"] for each in found["skipped"]]
    assert sum(found["counts"].values()) == 16
    for words in (words for _, words in BAD.values()):
        assert any(words in reason for reason in reasons)


SAME = {
    "a length not known when recorded": changed(GOOD, LENGTH, "<I", 0xFFFFFFFF),
    "a file's length that is a lie": changed(GOOD, 4, "<I", 10**8),
    "24 bits": sound(NOISE, kind="PCM_24"),
    "stereo": sound(np.stack([NOISE, NOISE], axis=1)),
    "floats": sound(NOISE, kind="FLOAT"),
    "FLAC": sound(NOISE, file="FLAC"),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_one_sound_written_in_many_ways_gives_one_answer(model, post, content):
    expected = model.predict(GOOD).scores
    assert model.predict(content).scores == pytest.approx(expected, abs=0.01)
    assert post(content)[1]["scores"] == pytest.approx(expected, abs=0.01)


def test_stereo_of_44100_hz_and_24_bits_is_brought_to_the_rate_of_the_bundle(model, post):
    time = np.arange(44_100 // 4) / 44_100
    content = sound(np.stack([np.sin(700 * time)] * 2, axis=1), 44_100, "PCM_24")
    plain = sound(np.sin(700 * np.arange(2000) / RATE))
    expected = model.predict(plain).scores
    assert post(content)[1]["scores"] == pytest.approx(expected, abs=0.05)


def test_silence_is_a_sound_and_said_where_data_holds_it(model, post, tmp_path, capsys):
    silent = sound(np.zeros(2000))
    assert post(silent)[1]["scores"] == pytest.approx(model.predict(silent).scores)
    place = folder(tmp_path / "words", lambda number: silent if number < 4 else GOOD)
    assert run(["inspect", str(place)]) == 0
    assert "train items are blank or silent" in capsys.readouterr().out


def test_mp3s_are_told_with_what_to_do(model, tmp_path, capsys):
    place = folder(tmp_path / "words")
    for file in list(place.rglob("*.wav")):
        file.rename(file.with_suffix(".mp3"))
    assert run(["inspect", str(place)]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert "sound of other formats (.mp3) cannot be read yet" in error
    assert "ffmpeg" in hint
    assert run(["predict", str(model.path), str(place)]) == 2
    assert "holds no .wav, .flac, .ogg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"[]", 422, "length >= 1"),
        (b"[1, 2, 99999]", 422, "32767"),
        (b"[0.5, 1e9]", 422, "not -1 to 1"),
        (b'["a"]', 422, "got `str`"),
        (b"[1, [2]]", 422, "got `array`"),
        (b"[NaN]", 400, "not JSON"),
        (b"0" * (2 << 20), 413, "larger than"),
    ],
)
def test_samples_that_are_none_are_told(post, body, status, words):
    found, answer = post(body, b"application/json")
    assert (found, set(answer)) == (status, {"error", "hint"})
    assert words in answer["error"]


def test_a_sound_file_is_no_stream_of_samples(model, tmp_path, capsys):
    (tmp_path / "a.wav").write_bytes(GOOD)
    assert run(["predict", str(model.path), "--stream", str(tmp_path / "a.wav")]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert "begins with b'RIFF'" in seen.err
    assert "without --stream" in seen.err
