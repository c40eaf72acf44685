"""The worker's end of the pipes to its supervisor: what it tells, and what it is told.

It tells by lines of JSON on its standard output, and hears orders and ``stop`` by lines on its
standard input. The end of that input is the end of the supervisor, and of the worker.
"""

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import msgspec

from diptych.core.errors import ConfigError, DiptychError
from diptych.core.progress import Reporter, Step, StopRequest
from diptych.core.specs import Value
from diptych.training.meeting import LostTeamError, Meeting, meeting_of
from diptych.training.memory import Cut, NoMemoryError

INPUT, OUTPUT, ERRORS = 0, 1, 2
STOP = b"stop"
ORPHANED = 3


class Told(Value, tag="step"):
    """A step of progress; any is a sign of life."""

    stage: str
    done: float
    total: float
    note: str = ""


class Failed(Value, tag="error"):
    """An error that a person can act on: another attempt would end in the same one.

    One with a `cut` would not, if that is kept to.
    """

    kind: str
    message: str
    hint: str
    cut: Cut | None = None


class Finished(Value, tag="result"):
    """The worker's result, of what JSON can hold."""

    value: Any = None


Message = Told | Failed | Finished


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What a worker is given: whom to meet, whom to tell how it goes, and whether to stop.

    `orders` are lines that say what to do, for workers that wait for such; the last is `STOP`.
    """

    meeting: Meeting
    report: Reporter
    stop: StopRequest
    orders: queue.SimpleQueue[bytes] = field(default_factory=queue.SimpleQueue)


def work(task: Callable[[Worker], object]) -> int:
    """Do the work of one process, as its supervisor started it.

    Args:
        task: The work; what it returns goes to the supervisor, by JSON.

    Returns:
        The exit code.

    Raises:
        ConfigError: If no supervisor started this process.
        LostTeamError: If another process of the team is gone.
    """
    meeting = meeting_of(os.environ)
    if meeting is None:
        raise ConfigError("a worker was started without a supervisor", "use --devices")
    lines = _take_output()
    lock = threading.Lock()

    def tell(message: Message) -> None:
        with lock:
            lines.write(msgspec.json.encode(message) + b"\n")

    def report(step: Step) -> None:
        tell(Told(stage=step.stage, done=step.done, total=step.total, note=step.note))

    worker = Worker(meeting=meeting, report=report, stop=StopRequest())
    threading.Thread(target=_listen, args=(worker,), daemon=True).start()
    try:
        tell(Finished(value=task(worker)))
    except LostTeamError:
        raise
    except DiptychError as error:
        kind = type(error).__name__
        cut = error.cut if isinstance(error, NoMemoryError) else None
        tell(Failed(kind=kind, message=error.message, hint=error.hint, cut=cut))
        return error.exit_code
    return 0


def _take_output() -> IO[bytes]:
    """Keep the standard output for messages; what else is printed goes where errors go."""
    lines = os.dup(OUTPUT)
    os.dup2(ERRORS, OUTPUT)
    return os.fdopen(lines, "wb", buffering=0)


def _listen(worker: Worker) -> None:
    """Hear what the supervisor says until it ends."""
    heard = b""
    while read := os.read(INPUT, 1 << 16):
        *lines, heard = (heard + read).split(b"\n")
        for line in lines:
            worker.stop.requested |= line == STOP
            worker.orders.put(line)
    os._exit(ORPHANED)
