"""Memory that a step frees is kept for the next one, not given back and asked for anew.

The C library of Linux asks the system for each large tensor and gives it back; every page of it is
then cleared and mapped again in every step, which costs more than what elementwise operations
compute. While a network is trained it takes all memory from one heap that only grows.

On its own the library learns from what a program frees which pieces are large, up to a limit, and
any setting ends that for good; so afterwards it goes by the limit.

Source: mallopt(3) of Linux.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Settings of glibc's `mallopt` (malloc.h): how much may be free at the end of the heap before it
shrinks, from what size on pieces are asked for apart from it, and how many."""
NEVER, USUAL_PIECES = -1, 65_536
MOST_TRIM_BYTES, MOST_MMAP_BYTES = 64 << 20, 32 << 20
"""Where glibc's own rule ends on systems of 64 bits: a heap may have twice the limit free."""


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory inside; at the end what is free is given back.

    Afterwards pieces of 32 MiB and more are given back at once, and smaller ones where more than 64
    MiB are free, as by a program for which the library has come to its limit.

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
        library.mallopt(MMAP_THRESHOLD, MOST_MMAP_BYTES)
        library.mallopt(TRIM_THRESHOLD, MOST_TRIM_BYTES)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
