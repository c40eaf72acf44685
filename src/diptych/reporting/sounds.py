"""Sounds to see and to hear: a spectrogram as a picture, a clip as a WAV, both as addresses.

Loudness is in decibels below the loudest place, pitch in mel. Shapes: T samples, F frames, B bins.
"""

import base64
import io
import wave

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from diptych.reporting.pictures import address_of
from diptych.tasks.resampling import resample

MOST_SECONDS = 2.0
MOST_RATE = 16_000
WINDOW_S = 0.032
FRAMES, BINS = 240, 80
RANGE_DB = 65.0
QUIET = 100.0
COLORS = ((0, "12181a"), (0.35, "17474e"), (0.65, "4d8f86"), (0.85, "d2a95a"), (1, "fff2d0"))


def loudest(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Take the loudest two seconds.

    Args:
        samples: int16 (T,).
        sample_rate: Samples per second.

    Returns:
        All of it where it is no longer than that.
    """
    most = int(MOST_SECONDS * sample_rate)
    if len(samples) <= most:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    start = int((energy[most:] - energy[:-most]).argmax())
    return samples[start : start + most]


def player(samples: np.ndarray, sample_rate: int) -> str:
    """Write a sound as an address that holds it.

    Args:
        samples: int16 (T,).
        sample_rate: Samples per second; above 16,000 they are thinned, so that pages stay small.

    Returns:
        ``data:audio/wav;base64,...``.
    """
    factor = -(-sample_rate // MOST_RATE)
    thinned = np.clip(np.rint(resample(samples, factor, 1)), -32_768, 32_767)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sample_rate // factor)
        out.writeframes(thinned.astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode()


def picture(samples: np.ndarray, sample_rate: int) -> str:
    """Draw a spectrogram: time to the right, pitch upward, the louder the brighter.

    Args:
        samples: int16 (T,).
        sample_rate: Samples per second.

    Returns:
        ``data:image/png;base64,...``, 240 x 80 pixels.
    """
    levels = spectrogram(samples, sample_rate)[:, ::-1].T
    image = Image.fromarray(np.rint(255 * levels).astype(np.uint8), mode="P")
    image.putpalette(_palette().tobytes())
    return address_of(image)


def spectrogram(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Compute how loud every pitch is at every time.

    Args:
        samples: int16 (T,).
        sample_rate: Samples per second.

    Returns:
        float64 (F, B) from 0 (65 dB below the loudest, or silence) to 1, low pitches first.
    """
    size = max(16, 1 << round(np.log2(sample_rate * WINDOW_S)))
    padded = np.pad(samples.astype(np.float64), size // 2)
    starts = np.linspace(0, len(padded) - size, FRAMES).astype(int)
    frames = sliding_window_view(padded, size)[starts] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) ** 2
    places = _mel_places(sample_rate) * size / sample_rate
    low = np.minimum(places.astype(int), power.shape[1] - 2)
    share = places - low
    blended = power[:, low] * (1 - share) + power[:, low + 1] * share
    reference = max(float(blended.max()), (QUIET * size / 4) ** 2)
    decibels = 10 * np.log10(np.maximum(blended / reference, 1e-12))
    return np.asarray(np.clip(1 + decibels / RANGE_DB, 0, 1))


def _mel_places(sample_rate: int) -> np.ndarray:
    """Return frequencies (B,) in Hz from 0 to half the rate, evenly spaced in mel."""
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    return np.asarray(700 * (10 ** (np.linspace(0, top, BINS) / 2595) - 1))


def _palette() -> np.ndarray:
    """Return 256 colors, uint8 (256, 3), dark to bright."""
    places = [place for place, _ in COLORS]
    colors = np.array([list(bytes.fromhex(color)) for _, color in COLORS])
    steps = np.linspace(0, 1, 256)
    channels = [np.interp(steps, places, colors[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=1)), np.uint8)
