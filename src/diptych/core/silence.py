"""Silence for libraries that write to standard error, and what a person hears all the same."""

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from typing import TextIO

STDERR = 2
_kept: list[int] = []
"""Where standard error went, once for each that silences it."""
_changing = threading.Lock()
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

    Several threads may ask for it at once: it lasts until the last of them is done.

    Yields:
        Nothing.
    """
    with _changing:
        _kept.append(_kept[0] if _kept else _silenced())
    try:
        yield
    finally:
        with _changing:
            kept = _kept.pop()
            if not _kept:
                os.dup2(kept, STDERR)
                os.close(kept)


def _silenced() -> int:
    """Silence standard error; return where it went."""
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    os.close(nowhere)
    return kept


def say(text: str) -> None:
    """Write a line to standard error, even while it is silent or is being written to.

    Where it cannot be written the line is lost.

    Args:
        text: The line.
    """
    line = f"{text}\n"
    stream = _streams[0] if _streams else sys.stderr
    with suppress(OSError):  # whoever listened has gone, which ends no work
        for kept in _kept[:1]:
            os.write(kept, line.encode())
            return
        try:
            stream.write(line)
            stream.flush()
        except RuntimeError:  # a signal came while the same stream was being written
            os.write(STDERR, line.encode())
