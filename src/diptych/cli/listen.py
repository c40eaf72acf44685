"""`diptych predict --stream`: raw sound from standard input or a file, decided as it comes."""

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import msgspec

from diptych.cli.answers import SHOWN
from diptych.core.errors import ConfigError, DataError
from diptych.core.values import Goal
from diptych.inference.bundle import Bundle
from diptych.inference.detection import Decision, Detection

STDIN = "-"
CHUNK_BYTES = 4096
FILE_STARTS = (b"RIFF", b"fLaC", b"OggS", b"ID3")


def listen(
    model: Bundle,
    source: str,
    *,
    hop_s: float,
    rate: int | None,
    threshold: float | None,
    as_json: bool,
) -> None:
    """Print a line for each decision, or for each detection where there is a threshold.

    Args:
        model: A bundle that takes sound.
        source: ``-`` or a file: samples of 16 bits, little-endian, one channel, nothing else.
        hop_s: Seconds from one decision to the next.
        rate: Samples per second; None for the bundle's own.
        threshold: The least score of a detection; None to print every decision.
        as_json: Print JSON, an object per line.

    Raises:
        ConfigError: If there is a threshold for numbers, which have no scores.
        DataError: If the source cannot be read, or begins as a sound file does.
    """
    goal = model.manifest.goal
    if threshold is not None and goal == "regression":
        raise ConfigError("a number has no score to compare with --threshold", "leave it out")
    stream = model.stream(hop_s=hop_s, rate=rate, threshold=threshold or 0.0)
    take: Callable[[bytes], Iterable[Decision | Detection]] = (
        stream.feed if threshold is None else stream.events
    )
    for place, chunk in enumerate(_chunks(source)):
        if place == 0:
            _check_raw(source, chunk)
        for told in take(chunk):
            print(msgspec.json.encode(_row(told)).decode() if as_json else _line(told, goal))
        sys.stdout.flush()


def _check_raw(source: str, start: bytes) -> None:
    if start.startswith(FILE_STARTS):
        raise DataError(
            f"{source} is a sound file (it begins with {start[:4]!r}), not raw samples",
            "predict it without --stream, or convert it, such as with ffmpeg -f s16le -ac 1",
        )


def _row(told: Decision | Detection) -> dict[str, object]:
    if isinstance(told, Detection):
        return {"time_s": told.time_s, "label": told.label, "score": told.score}
    answer = msgspec.to_builtins(told.prediction)
    return {"time_s": told.time_s} | {key: answer[key] for key in answer if key != "input"}


def _line(told: Decision | Detection, goal: Goal) -> str:
    time = f"{told.time_s:.3f}"
    if isinstance(told, Detection):
        return f"{time}\t{told.label}\t{told.score:.4f}"
    return "\t".join([time, *SHOWN[goal](told.prediction)])


def _chunks(source: str) -> Iterator[bytes]:
    """Give what has come so far, without waiting for a whole chunk."""
    try:
        with open(0 if source == STDIN else source, "rb", closefd=source != STDIN) as file:
            yield from iter(partial(file.read1, CHUNK_BYTES), b"")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"{source} cannot be read: {reason}", "check the path") from error
