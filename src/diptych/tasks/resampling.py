"""Resampling: sound at one rate, as it would have been recorded at another.

The samples are put `up` times as dense, low-passed by a windowed sinc and thinned `down` times, of
which only the products that are kept are computed: one short filter per phase.

Shapes: T samples at the old rate, R samples at the new one.

Source: R. Crochiere and L. Rabiner, "Multirate Digital Signal Processing", 1983, polyphase form.
"""

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

ZERO_CROSSINGS = 10
KAISER_BETA = 5.0
"""The two of `scipy.signal.resample_poly`: passes 90 % of the band, stops 50 dB beyond it."""


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Bring sound to another rate.

    Args:
        samples: float (T,), T at least 1.
        rate: Of the samples, per second.
        wanted: The new rate, per second.

    Returns:
        float64 (R,), R = T x wanted / rate rounded up; what lies outside counts as silence.
    """
    divisor = gcd(rate, wanted)
    up, down = wanted // divisor, rate // divisor
    if up == down:
        return samples.astype(np.float64)
    half = ZERO_CROSSINGS * max(up, down)
    taps = -(-(2 * half + 1) // up)
    phases = _phases(up, down, half, taps)
    length = -(-len(samples) * up // down)
    before = taps - 1
    after = (length * down + half) // up + 1 - len(samples)
    windows = sliding_window_view(np.pad(samples, (before, max(0, after))), taps)
    resampled = np.empty(length)
    for first in range(min(up, length)):
        # sample r lies at r x down + half in the dense filter's time
        place = first * down + half
        rows = windows[place // up :: down][: len(range(first, length, up))]
        resampled[first::up] = rows @ phases[place % up]
    return resampled


@lru_cache(maxsize=4)  # of two odd rates it is 31 MB and half of the time
def _phases(up: int, down: int, half: int, taps: int) -> np.ndarray:
    """Cut the low-pass filter (2 half + 1,) into one per phase, reversed: (up, taps)."""
    time = np.arange(-half, half + 1) / max(up, down)
    low_pass = np.sinc(time) * np.kaiser(2 * half + 1, KAISER_BETA)
    padded = np.zeros(taps * up)
    padded[: 2 * half + 1] = low_pass * (up / low_pass.sum())
    return np.ascontiguousarray(padded.reshape(taps, up).T[:, ::-1])
