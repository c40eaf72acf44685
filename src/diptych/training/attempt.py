"""One attempt of a team of processes on this machine: started together, and ended together."""

import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from diptych.core.progress import Reporter, Step, StopRequest
from diptych.training.meeting import Meeting, timeout_of
from diptych.training.memory import Cut
from diptych.training.worker import STOP, Failed, Finished, Message, Told

POLL_S = 0.2
GRACE_S = 2.0
START_S = 300.0
LOOPBACKS = ("lo", "lo0")


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an attempt ended: with the first process's `value`, a `failure`, or why it is `lost`."""

    value: Any = None
    failure: Failed | None = None
    lost: str = ""


class Attempt:
    """Processes that run one command as a team, until it is closed.

    They wait for each other as long as the environment says (``DIPTYCH_TIMEOUT_S``).

    Args:
        command: What each of them runs; it calls `training.worker.work`.
        count: How many.
        folder: An empty folder of this attempt's own: where they meet, and what they print.
        clock: Seconds.
        cuts: Of earlier attempts.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        cuts: tuple[Cut, ...] = (),
    ) -> None:
        self.cuts, self.count, self.folder, self.clock = cuts, count, folder, clock
        self.messages: queue.Queue[tuple[int, Message | None]] = queue.Queue()
        self.values: dict[int, Any] = {}
        self.heard_at, self.heard = clock(), False
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(count):
                self.processes.append(self._start(list(command), rank))
        except BaseException:
            self.close()
            raise

    def follow(self, report: Reporter, stop: StopRequest, silence_s: float) -> Ending:
        """Wait for the end.

        Args:
            report: Told what the first process tells.
            stop: Passed on to the processes.
            silence_s: When no process has told anything for so long, they are taken for hung;
                before anything was told, after five minutes at the earliest.

        Returns:
            How it ended. Where a process is lost, the others have two seconds to say why.
        """
        running, lost, until, told = set(range(self.count)), "", float("inf"), False
        while running and self.clock() < until:
            if stop and not told:
                self.stop()
                told = True
            rank, message = self.next()
            if isinstance(message, Failed):
                return Ending(failure=message)
            if rank is None:
                silent = self.is_silent(silence_s)
                lost = lost or ("no process made progress" if silent else "")
                until = self.clock() if silent else until
            elif message is None:
                running.discard(rank)
                if rank not in self.values and not lost:
                    lost, until = self.end_of(rank), self.clock() + GRACE_S
            else:
                self._take(rank, message, report)
        return Ending(lost=lost) if lost else Ending(value=self.values.get(0))

    def close(self) -> None:
        """End whatever still runs, and wait until it has."""
        for process in self.processes:
            with suppress(OSError):
                process.kill()
        for process in self.processes:
            process.wait()
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()

    def _start(self, command: list[str], rank: int) -> subprocess.Popen[bytes]:
        meeting = Meeting(
            address=(self.folder / "meeting").as_uri(),
            rank=rank,
            size=self.count,
            local_rank=rank,
            local_size=self.count,
            timeout_s=timeout_of(os.environ),
            cuts=self.cuts,
        )
        with self._log(rank).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  the command is the caller's
                command,
                env={**_loopback(), **os.environ, **meeting.environment()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        threading.Thread(target=self._read, args=(rank, process), daemon=True).start()
        return process

    def _read(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            return
        with process.stdout:
            for line in process.stdout:
                with suppress(msgspec.MsgspecError):
                    self.messages.put((rank, msgspec.json.decode(line, type=Message)))
        self.messages.put((rank, None))

    def next(self) -> tuple[int | None, Message | None]:
        """Hear what comes next, for a moment.

        Returns:
            Which process, and what it says; no process if none says anything, no message at the
            end of one.
        """
        try:
            rank, message = self.messages.get(timeout=POLL_S)
        except queue.Empty:
            return None, None
        self.heard_at, self.heard = self.clock(), True
        return rank, message

    def is_silent(self, silence_s: float) -> bool:
        """Say whether nothing was heard for too long.

        Args:
            silence_s: How long that is; a start may take longer than a step.

        Returns:
            Whether all processes seem to hang.
        """
        limit = silence_s if self.heard else max(silence_s, START_S)
        return self.clock() - self.heard_at > limit

    def _take(self, rank: int, message: Message, report: Reporter) -> None:
        if isinstance(message, Finished):
            self.values[rank] = message.value
        elif isinstance(message, Told) and rank == 0:
            report(
                Step(stage=message.stage, done=message.done, total=message.total, note=message.note)
            )

    def stop(self) -> None:
        """Ask all processes to end by themselves."""
        for rank in range(len(self.processes)):
            self.order(rank, STOP)

    def order(self, rank: int, line: bytes) -> None:
        """Say something to a process; one that has ended hears nothing.

        Args:
            rank: Which.
            line: What, without a line's end.
        """
        pipe = self.processes[rank].stdin
        if pipe is not None:
            with suppress(OSError):
                pipe.write(line + b"\n")
                pipe.flush()

    def end_of(self, rank: int) -> str:
        """Say how a process ended, which it has.

        Args:
            rank: Which.

        Returns:
            In words.
        """
        code = self.processes[rank].wait()
        if code < 0:
            return f"process {rank} was ended by {signal.Signals(-code).name}"
        last = self._log(rank).read_text(errors="replace").strip().splitlines()[-1:]
        return f"process {rank} ended with code {code}" + (f" ({last[0][:200]})" if last else "")

    def _log(self, rank: int) -> Path:
        return self.folder / f"process-{rank}.log"


def _loopback() -> dict[str, str]:
    """Keep what the processes of one machine say to each other on that machine."""
    names = [name for _, name in socket.if_nameindex() if name in LOOPBACKS]
    return {"GLOO_SOCKET_IFNAME": names[0], "NCCL_SOCKET_IFNAME": names[0]} if names else {}
