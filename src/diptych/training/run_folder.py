"""The folder of a run: its checkpoints and records, and a lock so that one run has it at a time."""

import fcntl
import os
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from diptych.core.errors import ConfigError, StorageError, TrainingError
from diptych.core.extras import require
from diptych.core.files import storage_error, write_atomic
from diptych.training.checkpoint import Checkpoint, decode, encode
from diptych.training.records import EVENTS, METRICS, RunRecords

KEPT = 2
PATTERN = "checkpoint-*.safetensors"
SHARDED_PATTERN = "checkpoint-*.shards"
LOCK, REQUEST = "lock", "run.json"
OWN = (LOCK, REQUEST, METRICS, EVENTS, PATTERN, SHARDED_PATTERN, ".*")


def is_left_over(path: Path) -> bool:
    """Say whether there is nothing in a folder but what a run leaves, of whatever is damaged.

    Args:
        path: A folder.

    Returns:
        True for an empty one too.
    """
    return all(any(fnmatch(each.name, own) for own in OWN) for each in path.iterdir())


class RunFolder:
    """A run's folder, held by this process until it is closed.

    Args:
        path: The folder; it is made if it is not there.
        warn: Told of a checkpoint that cannot be read.
        held: Whether to keep others out; the processes of a team are inside what their supervisor
            holds.

    Raises:
        ConfigError: If another process has it.
        StorageError: If it cannot be made.
    """

    def __init__(self, path: Path, warn: Callable[[str], None], *, held: bool = True) -> None:
        self.path, self.warn = path, warn
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise storage_error(path, error) from error
        if held:
            self._hold()
        self.records = RunRecords(path)

    def close(self) -> None:
        """Let another process have the folder."""
        self.records.close()
        os.close(self._lock)

    def _joined(self, folder: Path) -> Checkpoint:
        """Read all shares of a checkpoint; few runs have such, and torch takes long to be ready."""
        shares = require("diptych.training.sharded_checkpoint", "train")
        checkpoint: Checkpoint = shares.read(folder)
        return checkpoint

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise ConfigError(
                f"{self.path} belongs to a run that is going on",
                "wait for it, or choose another --out",
            ) from error

    def checkpoints(self) -> list[Path]:
        """List the checkpoints.

        Returns:
            Their files, and the folders of those that a team wrote, the latest first.
        """
        found = (*self.path.glob(PATTERN), *self.path.glob(SHARDED_PATTERN))
        return sorted(found, reverse=True)

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint, and no more than the one before it.

        Args:
            checkpoint: Where the run is.
        """
        name = f"checkpoint-{checkpoint.position.step:010d}.safetensors"
        write_atomic(self.path / name, encode(checkpoint))
        self.prune()

    def prune(self, kept: int = KEPT) -> None:
        """Remove old checkpoints, and what a process that was killed had begun.

        Args:
            kept: How many of the latest stay.
        """
        for begun in self.path.glob(f".{SHARDED_PATTERN}.tmp"):
            shutil.rmtree(begun, ignore_errors=True)
        for begun in self.path.glob(f".{PATTERN}.*.tmp"):
            begun.unlink(missing_ok=True)
        for old in self.checkpoints()[kept:]:
            if old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what an earlier run left.

        Raises:
            StorageError: If it cannot be removed.
        """  # noqa: DOC501  storage_error makes it
        try:
            self.prune(0)
        except OSError as error:
            raise storage_error(self.path, error) from error
        self.records.rewind(-1)

    def latest(self) -> Checkpoint | None:
        """Read the last checkpoint that is whole.

        Returns:
            The checkpoint; None if there never was one.

        Raises:
            TrainingError: If there are checkpoints, and none can be read.
            StorageError: If the disk does not give one.
        """
        failed: TrainingError | None = None
        for file in self.checkpoints():
            try:
                if file.is_dir():
                    return self._joined(file)
                return decode(file.read_bytes(), str(file))
            except TrainingError as error:
                self.warn(error.message)
                failed = failed or error
            except OSError as error:
                raise StorageError(f"cannot read {file}: {error.strerror}") from error
        if failed:
            raise failed
        return None
