"""Progress: long work reports steps to whoever shows them, and asks whether to stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType


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
    """Turn the first Ctrl-C into a request to stop; a second one interrupts at once.

    Args:
        announce: Called at the first Ctrl-C, to tell the person what happens now.

    Yields:
        The request, false until Ctrl-C.
    """
    request = StopRequest()
    previous = signal.getsignal(signal.SIGINT)

    def handle(signum: int, frame: FrameType | None) -> None:
        request.requested = True
        signal.signal(signal.SIGINT, previous)
        with suppress(RuntimeError):  # the signal came while the same stream was being written
            announce()

    signal.signal(signal.SIGINT, handle)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, previous)
