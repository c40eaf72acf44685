"""Sound: from a file's bytes or an array to the samples that a graph takes.

Any rate and any number of channels become one channel at one rate: channels are averaged, then the
loudest part of the wanted length is taken, then resampled. What is shorter lies in the middle, with
silence on both sides. Silence itself is a sound like any other. WAV is read here; FLAC and OGG by
`soundfile`. Limits are checked on the header, before anything is decoded.

Shapes: T samples, C channels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from diptych.core.errors import DataError
from diptych.core.specs import AudioSpec
from diptych.core.text import size
from diptych.core.values import Assets
from diptych.tasks import compressed
from diptych.tasks.image import read_file
from diptych.tasks.resampling import resample
from diptych.tasks.wav import read_header, read_samples

MAX_FILE_BYTES = 64 << 20
MAX_SECONDS = 600
MAX_VALUES = 64_000_000
MAX_CHANNELS = 32
LEAST_RATE, MOST_RATE = 1000, 192_000
SUFFIXES = (".wav", ".flac", ".ogg", ".oga")
HOP_S = 0.016
FULL_SCALE = 32_768
MAX_OVERSHOOT = 8.0
EXPECTED = (
    "give the content or the path of a WAV, FLAC or OGG file, or an array (T,) or (T, C) of "
    "integers of 16 bits or floats -1 to 1"
)


@dataclass(frozen=True, kw_only=True)
class SoundHeader:
    """What a sound file says of itself."""

    sample_rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.sample_rate


def preparer(
    spec: AudioSpec, assets: Assets
) -> Callable[[bytes | str | Path | np.ndarray], np.ndarray]:
    """Make what turns sounds into the samples that a graph takes.

    Args:
        spec: The rate and length wanted.
        assets: Not used.

    Returns:
        :func:`prepare` for this spec.
    """
    return partial(prepare, spec=spec)


def hop_samples(sample_rate: int) -> int:
    """Give the step from one frame of features to the next; lengths are multiples of it.

    Args:
        sample_rate: Samples per second.

    Returns:
        The power of two nearest to 16 ms.
    """
    return 1 << round(math.log2(sample_rate * HOP_S))


def prepare(value: bytes | str | Path | np.ndarray, spec: AudioSpec) -> np.ndarray:
    """Turn a sound or an array into the samples that a graph takes.

    Args:
        value: The content of a sound file, its path, or an array (T,) or (T, C) at the spec's
            rate, of integers of 16 bits or of floats -1 to 1 (clipped beyond, up to 8).
        spec: The rate and length wanted.

    Returns:
        int16 (T,); the array itself where it is right already.

    Raises:
        DataError: If it is no sound, too long, empty, damaged, or out of range.
    """
    if isinstance(value, np.ndarray):
        if value.dtype == np.int16 and value.shape == (spec.samples,):
            return value
        return fit(_from_array(value, spec.sample_rate), spec.sample_rate, spec)
    if isinstance(value, bytes):
        return decode(value, spec)
    if isinstance(value, str | Path):
        return decode(read_file(Path(value)), spec, str(value))
    raise DataError(f"cannot make a sound of {type(value).__name__}", EXPECTED)


def decode(data: bytes, spec: AudioSpec, name: str = "input") -> np.ndarray:
    """Decode a sound: mixed to one channel, cut or padded, resampled.

    Args:
        data: The content of a WAV, FLAC or OGG file.
        spec: The rate and length wanted.
        name: What to call it in an error.

    Returns:
        int16 (T,).

    Raises:
        DataError: If it is not such a sound, too long, empty, or damaged.
    """
    file = BytesIO(data)
    header = _probe(file, len(data), name)
    if data.startswith(b"RIFF"):
        samples = read_samples(file, read_header(file, len(data), name))
    else:
        file.seek(0)
        samples = compressed.read_frames(file, header.frames, name)
    return fit(_checked(samples, name), header.sample_rate, spec)


def probe(data: bytes | Path, name: str = "input") -> SoundHeader:
    """Read a sound's rate, channels and length from its header.

    Args:
        data: The content of a sound file, or its path.
        name: What to call it in an error.

    Returns:
        The header, within the limits.

    Raises:
        DataError: If it is no sound, too long, empty, or its header is damaged.
    """
    if isinstance(data, bytes):
        return _probe(BytesIO(data), len(data), name)
    try:
        with data.open("rb") as file:
            return _probe(file, data.stat().st_size, name)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(
            f"{name} cannot be read: {reason}", "check the path and its rights"
        ) from error


def _probe(file: BinaryIO, size_bytes: int, name: str) -> SoundHeader:
    if size_bytes > MAX_FILE_BYTES:
        raise DataError(
            f"{name} is {size(size_bytes)}, more than {size(MAX_FILE_BYTES)}", "cut it into pieces"
        )
    start = file.read(12)
    if not start:
        raise DataError(f"{name} is empty: it has 0 bytes", "take it out")
    file.seek(0)
    if start.startswith(b"RIFF") and start.endswith(b"WAVE"):
        wav = read_header(file, size_bytes, name)
        header = SoundHeader(sample_rate=wav.sample_rate, channels=wav.channels, frames=wav.frames)
    elif start.startswith(compressed.STARTS):
        rate, channels, frames = compressed.read_shape(file, name)
        header = SoundHeader(sample_rate=rate, channels=channels, frames=frames)
    else:
        raise DataError(
            f"{name} is not a WAV, FLAC or OGG sound (it begins with {start!r})",
            "convert it, such as with ffmpeg -i FILE FILE.wav, or take it out",
        )
    _check_header(header, name)
    return header


def _check_header(header: SoundHeader, name: str) -> None:
    if not LEAST_RATE <= header.sample_rate <= MOST_RATE:
        raise DataError(
            f"{name} has {header.sample_rate:,} samples per second",
            f"the limits are {LEAST_RATE:,} and {MOST_RATE:,}",
        )
    _check_size(header.frames, header.channels, header.sample_rate, name)


def _check_size(frames: int, channels: int, sample_rate: int, name: str) -> None:
    if not 1 <= channels <= MAX_CHANNELS:
        raise DataError(f"{name} has {channels} channels", f"the limit is {MAX_CHANNELS}")
    if frames == 0:
        raise DataError(f"{name} is empty: it has 0 samples", "take it out")
    seconds = frames / sample_rate
    if seconds > MAX_SECONDS or frames * channels > MAX_VALUES:
        raise DataError(
            f"{name} lasts {seconds:,.0f} s, more than {MAX_SECONDS} s or too much at once",
            "cut it into pieces",
        )


def _from_array(array: np.ndarray, sample_rate: int) -> np.ndarray:
    channels = array.shape[1] if array.ndim == 2 else 1
    if array.ndim not in {1, 2} or not array.size or channels > MAX_CHANNELS:
        raise DataError(f"an array of shape {array.shape} is not a sound", EXPECTED)
    _check_size(len(array), channels, sample_rate, "the array")
    if array.dtype.kind in "iu":
        low, high = int(array.min()), int(array.max())
        if low < -FULL_SCALE or high >= FULL_SCALE:
            raise DataError(
                f"the array holds {array.dtype} from {low} to {high}, beyond 16 bits", EXPECTED
            )
        return array.astype(np.int16).reshape(len(array), channels)
    if array.dtype.kind != "f":
        raise DataError(f"an array of {array.dtype} is not a sound", EXPECTED)
    return _checked(array.reshape(len(array), channels), "the array")


def _checked(samples: np.ndarray, name: str) -> np.ndarray:
    if samples.dtype.kind == "i":
        return samples
    low, high = samples.min(), samples.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise DataError(f"{name} holds NaN or infinity", EXPECTED)
    if max(-low, high) > MAX_OVERSHOOT:
        raise DataError(f"{name} holds floats from {low:g} to {high:g}, not -1 to 1", EXPECTED)
    return samples


def fit(samples: np.ndarray, rate: int, spec: AudioSpec) -> np.ndarray:
    """Mix sound, take the loudest part, resample it, and put it in the middle.

    Args:
        samples: int16 or float (T, C), T at least 1; floats are -1 to 1.
        rate: Of the samples, per second.
        spec: The rate and length wanted.

    Returns:
        int16 (T,) of the wanted length.
    """
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    if samples.dtype.kind == "f":
        mono = mono.astype(np.float64) * FULL_SCALE
    mono = _loudest(mono, -(-spec.samples * rate // spec.sample_rate))
    if rate != spec.sample_rate:
        mono = resample(mono, rate, spec.sample_rate)[: spec.samples]
    if mono.dtype != np.int16:
        mono = np.rint(np.clip(mono, -FULL_SCALE, FULL_SCALE - 1)).astype(np.int16)
    before = (spec.samples - len(mono)) // 2
    fitted = np.zeros(spec.samples, dtype=np.int16)
    fitted[before : before + len(mono)] = mono
    return fitted


def _loudest(samples: np.ndarray, length: int) -> np.ndarray:
    """Take the part of this length with the most energy; the earliest of equals."""
    if len(samples) <= length:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[start : start + length]
