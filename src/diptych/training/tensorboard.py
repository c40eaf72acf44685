"""TensorBoard event files: the one door to the library that writes them.

Events are written by this thread, not by the library's own in the background, which would hide a
full disk; and flushed every few seconds, since the library then waits for the disk.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from diptych.core.extras import require
from diptych.core.files import storage_error

EXTRA = "tensorboard"
LIBRARY = "tensorboardX"
VERSION = "brain.Event:2"
NAME = "events.out.tfevents."
DIGITS = 6
FLUSH_EVERY_S = 5.0


class EventFile:
    """A new event file beside those of the folder, made at the first write.

    It begins by saying that the run goes on after a step: of earlier files, TensorBoard then leaves
    out what came later.

    Args:
        folder: The folder that TensorBoard shows; made at the first write.
        after_step: The last step of earlier files that holds; -1 for a new run.
        clock: Gives seconds since 1970.
    """

    def __init__(
        self, folder: Path, after_step: int = -1, clock: Callable[[], float] = time.time
    ) -> None:
        self._library = require(LIBRARY, EXTRA)
        self._events = require(f"{LIBRARY}.proto.event_pb2", EXTRA)
        self._summaries = require(f"{LIBRARY}.proto.summary_pb2", EXTRA)
        earlier = sorted(folder.glob(NAME + "[0-9]" * DIGITS))
        number = int(earlier[-1].suffix[1:]) + 1 if earlier else 0
        self.path = folder / f"{NAME}{number:0{DIGITS}}"
        self._after_step, self._clock = after_step, clock
        self._writer: Any = None
        self._flushed = -math.inf

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step; they are on the disk some seconds later.

        Args:
            step: The step.
            values: By tag.

        Raises:
            StorageError: If they cannot be written (permission, full disk).
        """  # noqa: DOC501  storage_error makes it
        value = self._summaries.Summary.Value
        summary = self._summaries.Summary(
            value=[value(tag=tag, simple_value=number) for tag, number in values.items()]
        )
        try:
            if self._writer is None:
                self._begin()
            self._append(step=step, summary=summary)
            if self._clock() - self._flushed >= FLUSH_EVERY_S:
                self._writer.flush()
                self._flushed = self._clock()
        except OSError as error:
            self.close()
            raise storage_error(self.path, error) from error

    def close(self) -> None:
        """Write what is left, and close the file."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
            self._writer = None

    def _begin(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._library.RecordWriter(str(self.path))
        self._append(file_version=VERSION)
        started = self._events.SessionLog(status=self._events.SessionLog.START)
        self._append(step=self._after_step + 1, session_log=started)

    def _append(self, **content: object) -> None:
        event = self._events.Event(wall_time=self._clock(), **content)
        self._writer.write(event.SerializeToString())
