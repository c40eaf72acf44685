"""Silence for compiled libraries, which write to the standard error of the process itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Let whatever this process writes to standard error be lost for as long as this lasts.

    Yields:
        Nothing.
    """
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)
