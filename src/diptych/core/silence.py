"""Silence for compiled libraries, which write to the standard error of the process itself."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2
_heard: list[int] = []


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Let whatever this process writes to standard error be lost for as long as this lasts.

    Yields:
        Nothing.
    """
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    _heard.append(kept)
    try:
        yield
    finally:
        _heard.remove(kept)
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)


def say(text: str) -> None:
    """Write a line to standard error, even while it is silent or is being written to.

    Args:
        text: The line.
    """
    if not _heard:
        try:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except RuntimeError:  # a signal came while the same stream was being written
            os.write(STDERR, f"{text}\n".encode())
        return
    os.write(_heard[0], f"{text}\n".encode())
