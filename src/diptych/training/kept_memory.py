"""Memory that a step frees is kept for the next one, not given back and asked for anew.

The C library of Linux asks the system for each large tensor and gives it back; every page of it is
then cleared and mapped again in every step, which costs more than what elementwise operations
compute. While a network is trained it takes all memory from one heap that only grows.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Settings of glibc's `mallopt` (malloc.h): how much may be free at the end of the heap before it
shrinks, and how many pieces may be asked for apart from it."""
NEVER, USUAL_TRIM, USUAL_PIECES = -1, 128 * 1024, 65_536


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory inside; at the end what is free is given back.

    Yields:
        Nothing. Where the C library is another one, nothing is changed.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        library.mallopt(MMAP_MAX, USUAL_PIECES)
        library.mallopt(TRIM_THRESHOLD, USUAL_TRIM)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
