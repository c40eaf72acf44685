"""Silence for libraries that write to standard error, and what a person hears all the same."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from typing import TextIO

STDERR = 2
_kept: list[int] = []
_streams: list[TextIO] = []


@contextmanager
def silent_python() -> Iterator[None]:
    """Let whatever Python code writes to `sys.stderr` be lost for as long as this lasts.

    Yields:
        Nothing.
    """
    _streams.append(sys.stderr)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        _streams.pop()


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Let whatever compiled code, too, writes to standard error be lost for as long as this lasts.

    Yields:
        Nothing.
    """
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    _kept.append(kept)
    try:
        yield
    finally:
        _kept.pop()
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)


def say(text: str) -> None:
    """Write a line to standard error, even while it is silent or is being written to.

    Where it cannot be written the line is lost.

    Args:
        text: The line.
    """
    line = f"{text}\n"
    stream = _streams[0] if _streams else sys.stderr
    with suppress(OSError):  # whoever listened has gone, which ends no work
        if _kept:
            os.write(_kept[0], line.encode())
            return
        try:
            stream.write(line)
            stream.flush()
        except RuntimeError:  # a signal came while the same stream was being written
            os.write(STDERR, line.encode())
