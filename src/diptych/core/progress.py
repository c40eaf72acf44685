"""Progress: long work reports steps to whoever shows them, and asks whether to stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask to stop: of a person, and of whatever runs the process."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far a stage is: `done` of `total` in the stage's own units, and a word on it."""

    stage: str
    done: float
    total: float
    note: str = ""


Reporter = Callable[[Step], None]


def silent(step: Step) -> None:
    """Report nothing.

    Args:
        step: The step that is not shown.
    """


@dataclass
class StopRequest:
    """Whether a person asked to stop; long loops look at it between steps."""

    requested: bool = False

    def __bool__(self) -> bool:
        """Return whether to stop."""
        return self.requested


@contextmanager
def stop_on_interrupt(announce: Callable[[], None]) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop; a second one ends at once.

    Args:
        announce: Called at the first of them, to tell the person what happens now.

    Yields:
        The request, false until then.
    """
    request = StopRequest()
    previous = {number: signal.getsignal(number) for number in STOPS}

    def put_back() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(signum: int, frame: FrameType | None) -> None:
        request.requested = True
        put_back()
        with suppress(RuntimeError):  # the signal came while the same stream was being written
            announce()

    for number in STOPS:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        put_back()
