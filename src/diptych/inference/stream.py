"""Sound as it comes: chunks of any length in, a decision at every hop out.

The rule: a decision is what `predict` says, bit for bit, of the last window of samples heard. While
less than a window was heard, that is all of it, and it lies in the middle of silence, as any short
sound does. Samples are kept as int16; floats are rounded as they come.

Shapes: T samples of a chunk, W samples of a window at the rate of what is fed, C channels.
"""

from collections.abc import Callable

import numpy as np
from msgspec import structs

from diptych.core.errors import ConfigError, DataError
from diptych.core.specs import AudioSpec, InputSpec
from diptych.inference.detection import Decision, Detection, Detector, Rule
from diptych.tasks import audio
from diptych.tasks.prediction import Prediction

LONGEST_HOP_S = 60.0
PIECE = 1 << 19
"""Samples that are taken in at once: at any rate less than the longest sound."""
PCM = np.dtype("<i2")

Chunk = bytes | bytearray | memoryview | np.ndarray


class Stream:
    """Owns what was heard last; `Bundle.stream` makes one.

    Args:
        spec: The model's input.
        answer: Answers one prepared window, int16 (T,).
        hop_s: Seconds from one decision to the next.
        rate: Samples per second of what will be fed; None for the model's own.
        threshold: The least score of a detection.

    Raises:
        ConfigError: If the model does not take sound, or a number is outside its range.
    """

    def __init__(
        self,
        spec: InputSpec,
        answer: Callable[[np.ndarray], Prediction],
        *,
        hop_s: float,
        rate: int | None,
        threshold: float,
    ) -> None:
        if not isinstance(spec, AudioSpec):
            kind = spec.__struct_config__.tag
            raise ConfigError(
                f"only sound can be streamed, this bundle takes {kind}",
                "answer its inputs one by one, with predict",
            )
        self.rate = spec.sample_rate if rate is None else rate
        _check(self.rate, hop_s)
        self._spec = spec
        self._answer = answer
        self._detector = Detector(Rule(threshold=threshold))
        self._hop = round(hop_s * self.rate)
        self._width = -(-spec.samples * self.rate // spec.sample_rate)
        self._heard = np.zeros(0, np.int16)
        self._pending: list[np.ndarray] = []
        self._num_heard = 0
        self._cut = b""

    @property
    def window_s(self) -> float:
        """How far back a decision looks, in seconds."""
        return self._width / self.rate

    def feed(self, chunk: Chunk) -> list[Decision]:
        """Take in the next samples.

        Args:
            chunk: int16 or float (-1 to 1) of shape (T,) or (T, C), T from 0 on; or PCM bytes of
                one channel, 16 bits, little-endian, which may end within a sample.

        Returns:
            The decisions that became due, in order.
        """
        samples = self._samples(chunk)
        decisions = []
        while len(samples):
            part = samples[: self._hop - self._num_heard % self._hop]
            samples = samples[len(part) :]
            self._pending.append(part)
            self._num_heard += len(part)
            if self._num_heard % self._hop == 0:
                decisions.append(self._decide())
        return decisions

    def events(self, chunk: Chunk) -> list[Detection]:
        """Take in the next samples, and merge decisions into detections.

        Args:
            chunk: As for :func:`feed`.

        Returns:
            What was detected: a label at or above the threshold in 2 of 3 decisions, and not again
            within a second.
        """
        return [found for decision in self.feed(chunk) for found in self._detector.hear(decision)]

    def _decide(self) -> Decision:
        self._heard = np.concatenate([self._heard, *self._pending])[-self._width :]
        self._pending = []
        window = audio.fit(self._heard[:, None], self.rate, self._spec)
        return Decision(time_s=self._num_heard / self.rate, prediction=self._answer(window))

    def _samples(self, chunk: Chunk) -> np.ndarray:
        """Return a chunk as int16 (T,)."""
        if not isinstance(chunk, np.ndarray):
            content = self._cut + bytes(chunk)
            whole = len(content) - len(content) % PCM.itemsize
            self._cut = content[whole:]
            return np.frombuffer(content[:whole], PCM).astype(np.int16, copy=False)
        if self._cut:
            raise DataError("bytes were fed that end within a sample", "feed its other byte first")
        pieces = [chunk[start : start + PIECE] for start in range(0, len(chunk), PIECE)]
        converted = [
            audio.prepare(piece, structs.replace(self._spec, samples=len(piece)))
            for piece in pieces
        ]
        # a copy: the caller may use its buffer again
        return np.concatenate([np.zeros(0, np.int16), *converted])


def _check(rate: int, hop_s: float) -> None:
    if not audio.LEAST_RATE <= rate <= audio.MOST_RATE:
        raise ConfigError(
            f"a rate of {rate} samples per second",
            f"use {audio.LEAST_RATE} to {audio.MOST_RATE}",
        )
    if not 1 / rate <= hop_s <= LONGEST_HOP_S:
        raise ConfigError(f"a hop of {hop_s:g} s", f"use 1 sample to {LONGEST_HOP_S:g} s")
