"""What the processes of one machine tell each other in every step, through memory that they share.

A message over a socket wakes a process that sleeps, which takes longer than a layer of a small
network does. Here each process looks at the memory until the others have written.

Every process writes into a place of its own, of which there are two, used in turn: when one writes
again into the first, all have read what was there, for they have written into the second since.
Others see what was written in the order in which it was, as x86 processors have it.

Each also says how much it tells: where that differs, what they tell belongs to different places of
a network, and nothing is made of it.
"""

import fcntl
import mmap
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diptych.core.errors import TrainingError
from diptych.training.meeting import LostTeamError

MEMORY = Path("/dev/shm")  # noqa: S108  mkstemp makes the files there
ORDERED = {"x86_64", "AMD64"}
ROOM = 1 << 20
LINE = 64
LOOK_EVERY_S = 0.05


def reserve(size: int, memory: Path = MEMORY) -> Path | None:
    """Set memory aside for the processes of a team.

    Args:
        size: How many they are.
        memory: A folder whose files are memory.

    Returns:
        The file that stands for it; None where there is no such memory to write to, or none is
        left.
    """
    if platform.machine() not in ORDERED or not memory.is_dir():
        return None
    try:
        descriptor, name = tempfile.mkstemp(prefix="diptych-", dir=memory)
    except OSError:
        return None
    try:
        os.posix_fallocate(descriptor, 0, _total(size))
    except OSError:
        Path(name).unlink()
        return None
    finally:
        os.close(descriptor)
    return Path(name)


class Exchange:
    """One process's end.

    Args:
        path: The file, the same for all. None gathers before all have opened it; then it can be
            removed.
        rank: Of this process.
        size: How many processes there are.
        timeout_s: How long to wait for another.
    """

    def __init__(self, path: Path, rank: int, size: int, timeout_s: float) -> None:
        self.rank, self.size, self.timeout_s, self.turn = rank, size, timeout_s, 0
        self.descriptor = os.open(path, os.O_RDWR)
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX, 1, rank)  # let go of when the process ends
        memory = mmap.mmap(self.descriptor, _total(size))
        lines = np.frombuffer(memory, np.int64, size * LINE // 8).reshape(size, LINE // 8)
        self.turns, self.sizes = lines[:, 0], lines[:, 1:3].T
        places = np.frombuffer(memory, np.uint8, offset=size * LINE)
        self.places = places.reshape(2, size, ROOM)

    def gather(self, own: Tensor) -> Tensor:
        """Put the tensors of all processes side by side.

        Args:
            own: (K,) on the processor, the same K and type for all.

        Returns:
            (R, K), of R processes in order.

        Raises:
            LostTeamError: If another process has ended, or does not come in time.
            TrainingError: If another one tells more or less.
        """
        data = own.contiguous().view(torch.uint8).numpy()
        found = np.empty((self.size, len(data)), np.uint8)
        for start in range(0, len(data), ROOM):
            part = slice(start, start + ROOM)
            found[:, part] = self._tell(data[part])
        return torch.from_numpy(found).view(own.dtype)

    def average(self, own: Tensor) -> None:
        """Give all processes the mean of their tensors, in place.

        Args:
            own: (K,) contiguous, on the processor, the same K and type for all.

        Raises:
            LostTeamError: If another process has ended, or does not come in time.
            TrainingError: If another one tells more or less.
        """
        for part in torch.split(own.div_(self.size), ROOM // own.element_size()):
            first, *others = torch.from_numpy(self._tell(part.view(torch.uint8).numpy()))
            part.copy_(first.view(own.dtype))
            for other in others:
                part.add_(other.view(own.dtype))

    def close(self) -> None:
        """Let go of the memory."""
        os.close(self.descriptor)

    def _tell(self, own: np.ndarray) -> np.ndarray:
        """Return what all tell, uint8 (R, K), in memory that the next turn but one writes to."""
        self.turn += 1
        place = self.turn % 2
        places, sizes = self.places[place, :, : len(own)], self.sizes[place]
        places[self.rank], sizes[self.rank] = own, len(own)
        self.turns[self.rank] = self.turn
        self._await()
        if (sizes != len(own)).any():
            raise TrainingError(
                "the processes of the team are at different layers: they tell each other "
                f"{', '.join(map(str, sizes))} bytes",
                "train a network whose layers depend on the data without --devices",
            )
        return places

    def _await(self) -> None:
        began = looked = time.monotonic()
        while (self.turns < self.turn).any():
            os.sched_yield()  # `time.sleep(0)` takes 50 us
            now = time.monotonic()
            if now - looked < LOOK_EVERY_S:
                continue
            looked = now
            missing = [int(rank) for rank in np.flatnonzero(self.turns < self.turn)]
            ended = [rank for rank in missing if self._has_ended(rank)]
            if ended or now - began > self.timeout_s:
                why = "has ended" if ended else f"did not come within {self.timeout_s:g} s"
                raise LostTeamError(
                    f"process {self.rank} of {self.size} lost the others: process "
                    f"{(ended or missing)[0]} {why}",
                    "go on from the last checkpoint with --resume",
                )

    def _has_ended(self, rank: int) -> bool:
        """Say whether nobody holds another process's lock any more."""
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, rank)
        except OSError:
            return False
        fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, rank)
        return True


def _total(size: int) -> int:
    return size * (LINE + 2 * ROOM)
