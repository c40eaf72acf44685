"""FLAC and OGG files, read by `soundfile`.

Shapes: T samples, C channels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from diptych.core.errors import DataError
from diptych.core.extras import require

STARTS = (b"fLaC", b"OggS")
EXTRA = "audio"


def read_shape(file: BinaryIO, name: str) -> tuple[int, int, int]:
    """Read a file's header.

    Args:
        file: The file, at its beginning.
        name: What to call it in an error.

    Returns:
        Samples per second, C and T.

    Raises:
        DataError: If it is damaged.
    """
    library = require("soundfile", EXTRA)
    with _naming(name), library.SoundFile(file) as sound:
        return sound.samplerate, sound.channels, sound.frames


def read_frames(file: BinaryIO, frames: int, name: str) -> np.ndarray:
    """Read a file's samples.

    Args:
        file: The file, at its beginning.
        frames: T, from its header.
        name: What to call it in an error.

    Returns:
        float32 (T, C), with a full scale of 1.

    Raises:
        DataError: If it is damaged or cut off.
    """
    library = require("soundfile", EXTRA)
    with _naming(name), library.SoundFile(file) as sound:
        samples: np.ndarray = sound.read(frames, dtype="float32", always_2d=True)
    if len(samples) < frames:
        raise DataError(
            f"{name} is cut off: {len(samples):,} of {frames:,} samples are there",
            "copy or record it again",
        )
    return samples


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = str(error).rpartition(": ")[2]
        raise DataError(f"{name} is damaged: {reason}", "repair it, or take it out") from error
