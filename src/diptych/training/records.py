"""What a run writes down while it goes: one record per look, for people and for programs.

`metrics.jsonl` has one JSON object per line with the keys of `Record`; TensorBoard gets the same
numbers under the same names, where its extra is installed.
"""

import io
import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from diptych.core.extras import installed
from diptych.core.files import storage_error
from diptych.core.specs import Value
from diptych.core.text import number
from diptych.core.values import EnergyLabel
from diptych.training import tensorboard

METRICS = "metrics.jsonl"
EVENTS = "tensorboard"
NOT_SHOWN = frozenset({"step", "samples", "seconds", "energy_label", "gpu_energy_label"})
"""Keys that TensorBoard has no curve of: its own axes, and words."""

logger = logging.getLogger(__name__)


class Record(Value):
    """How a run stood at a step; the keys are those of a line of `metrics.jsonl`.

    `epoch` counts from 1; `samples`, `seconds`, `samples_per_second` and `waiting_share`, the share
    of the time that was spent waiting for data, are of training so far, resumed parts included.
    `loss` is the mean since the record before, null in the file where there is none or it is not
    finite; `rate` is the learning rate of the step; `score` is on the validation split, where it
    was just measured; `energy_j` is what the processor used so far, and `gpu_energy_j` what the
    GPUs counted, where they do.
    """

    step: int
    epoch: int
    samples: int
    seconds: float
    loss: float
    rate: float
    samples_per_second: float
    waiting_share: float
    score: float | None = None
    energy_j: float | None = None
    energy_label: EnergyLabel = "modelled"
    gpu_energy_j: float | None = None
    gpu_energy_label: EnergyLabel | None = None


class RunRecords:
    """The records of one run, on the disk as soon as they are written.

    Opening drops a line that a killed run left unfinished; later records are appended.

    Args:
        folder: The run's folder, which exists.

    Raises:
        StorageError: If it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self._folder = folder / METRICS, folder / EVENTS
        with _storage(self.path):
            self._file = io.FileIO(self.path, "a")
        self._shown: tensorboard.EventFile | None = None
        if not installed(tensorboard.LIBRARY):
            logger.warning("no TensorBoard files; pip install 'diptych[%s]'", tensorboard.EXTRA)
        self.rewind()

    def write(self, record: Record) -> None:
        """Write a record; its steps rise.

        Args:
            record: The record.

        Raises:
            StorageError: If it cannot be written (permission, full disk); the file is left as it
                was before.
        """
        line = msgspec.json.encode(record) + b"\n"
        with _storage(self.path):
            self._append(line)
        if self._shown is not None:
            self._shown.write(record.step, _curves(msgspec.structs.asdict(record)))

    def rewind(self, step: float = math.inf, *, within_epoch: bool = False) -> None:
        """Go back to a step: later records are dropped, as is an unfinished line.

        Args:
            step: The last step that holds, such as that of the checkpoint that is resumed.
            within_epoch: Whether the epoch of that step goes on, so that a score of it does not
                hold.

        Raises:
            StorageError: If the file cannot be read or written.
        """
        with _storage(self.path):
            last_step, again = self._cut(step, within_epoch)
        if installed(tensorboard.LIBRARY):
            self._close_shown()
            self._shown = tensorboard.EventFile(self._folder, last_step)
            if again:
                self._shown.write(step=last_step + 1, values=_curves(msgspec.json.decode(again)))

    def close(self) -> None:
        """Close the files; nothing is left to be written."""
        self._close_shown()
        self._file.close()

    def _append(self, line: bytes) -> None:
        size_bytes, left = os.fstat(self._file.fileno()).st_size, line
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            with suppress(OSError):
                self._file.truncate(size_bytes)
            raise

    def _cut(self, last_step: float, within_epoch: bool) -> tuple[int, bytes]:
        """Drop what does not hold; return the last step that is whole, and what the next has left.

        TensorBoard drops steps as a whole, so it is told of that one anew.

        Args:
            last_step: The last that holds.
            within_epoch: Whether a score of that step does not.

        Returns:
            The step, and the line of the next; empty where that has lost nothing.
        """
        kept_bytes, kept_step, kept, again = 0, -1, b"", b""
        with self.path.open("rb") as file:
            for line in file:
                found = _line_of(line)
                if found is None or found.step > last_step:
                    break
                if within_epoch and found.step == last_step and found.score is not None:
                    again = kept if found.step == kept_step else b""
                    break
                kept_bytes, kept_step, kept = kept_bytes + len(line), found.step, line
        self._file.truncate(kept_bytes)
        return (kept_step - 1 if again else kept_step), again

    def _close_shown(self) -> None:
        if self._shown is not None:
            self._shown.close()


def note_of(record: Record) -> str:
    """Say how a run stands, in the words after its progress bar.

    Args:
        record: Where it stands.

    Returns:
        Such as ``loss 0.412, 91.3 %, 1,401/s, 35 J modelled``: about 40 characters, the less
        important last. Where GPUs count what they use, it is theirs.
    """
    parts = [f"loss {number(record.loss)}"]
    if record.score is not None:
        parts.append(f"{100 * record.score:.1f} %")
    parts.append(f"{_short(record.samples_per_second)}/s")
    if record.gpu_energy_j is not None:
        parts.append(f"{_joules(record.gpu_energy_j)} GPU {record.gpu_energy_label}")
    elif record.energy_j is not None:
        parts.append(f"{_joules(record.energy_j)} {record.energy_label}")
    return ", ".join(parts)


class _Line(msgspec.Struct):
    step: int
    score: float | None = None


def _line_of(line: bytes) -> _Line | None:
    """Read a whole line, None where it is none."""
    if not line.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError:
        return None


def _curves(values: Mapping[str, Any]) -> dict[str, float]:
    return {key: v for key, v in values.items() if key not in NOT_SHOWN and v is not None}


def _short(count: float) -> str:
    if count >= 1e6:
        return f"{number(count / 1e6)}M"
    return f"{number(count / 1e3)}k" if count >= 1e4 else number(count)


def _joules(energy_j: float) -> str:
    return f"{number(energy_j)} J" if energy_j < 9999.5 else f"{number(energy_j / 1e3)} kJ"


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error
