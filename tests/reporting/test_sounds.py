import base64
import io
import wave

import numpy as np
import pytest
from PIL import Image

from diptych.reporting.sounds import BINS, FRAMES, loudest, picture, player, spectrogram

RATE = 8000


def tone(hertz: float, seconds: float = 1.0, rate: int = RATE, peak: float = 9000) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype("i2")


def heard(address: str) -> tuple[int, np.ndarray]:
    prefix = "data:audio/wav;base64,"
    assert address.startswith(prefix)
    with wave.open(io.BytesIO(base64.b64decode(address.removeprefix(prefix)))) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), np.frombuffer(file.readframes(10**9), "<i2")


def test_a_clip_is_kept_to_the_sample() -> None:
    samples = tone(440)
    rate, kept = heard(player(samples, RATE))
    assert rate == RATE
    assert (kept == samples).all()


def test_a_fine_clip_is_thinned_and_sounds_the_same() -> None:
    rate, kept = heard(player(tone(440, rate=48_000), 48_000))
    assert (rate, len(kept)) == (16_000, 16_000)
    expected = tone(440, rate=16_000)
    assert np.abs(kept[500:-500].astype(int) - expected[500:-500]).max() < 300


def test_clipping_does_not_turn_loud_into_its_opposite() -> None:
    square = np.where(np.arange(48_000) // 60 % 2, 32_767, -32_768).astype(np.int16)
    _, kept = heard(player(square, 48_000))
    assert np.corrcoef(kept, square[::3])[0, 1] > 0.9


def test_of_a_long_sound_the_loudest_two_seconds_are_taken() -> None:
    samples = np.concatenate([tone(300, 3, peak=500), tone(300, 2), tone(300, 3, peak=500)])
    kept = loudest(samples, RATE)
    assert len(kept) == 2 * RATE
    assert np.abs(kept).max() == 9000
    assert np.square(kept.astype(float)).mean() == pytest.approx(9000**2 / 2, rel=0.01)
    assert loudest(kept, RATE) is kept


@pytest.mark.parametrize("hertz", [250, 1000, 3000])
def test_a_tone_is_a_line_at_its_pitch(hertz: float) -> None:
    levels = spectrogram(tone(hertz), RATE)
    assert levels.shape == (FRAMES, BINS)
    mel = 2595 * np.log10(1 + np.array([hertz, RATE / 2]) / 700)
    expected = mel[0] / mel[1] * (BINS - 1)
    assert np.abs(levels[20:-20].argmax(axis=1) - expected).max() <= 3


def test_time_goes_to_the_right() -> None:
    samples = np.concatenate([np.zeros(RATE, np.int16), tone(1000)])
    levels = spectrogram(samples, RATE)
    assert levels[: FRAMES // 2 - 10].max() == 0
    assert levels[FRAMES // 2 + 10 :].max(axis=1).min() > 0.9


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.int16), np.ones(256, np.int16)])
def test_silence_is_dark_and_nothing_breaks(samples: np.ndarray) -> None:
    assert spectrogram(samples, RATE).max() < 0.5


def test_high_pitches_are_at_the_top_of_the_picture() -> None:
    prefix = "data:image/png;base64,"
    data = base64.b64decode(picture(tone(3500), RATE).removeprefix(prefix))
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    assert pixels.shape == (BINS, FRAMES)
    assert pixels[: BINS // 2].max() > 200 > pixels[BINS // 2 :].max()
