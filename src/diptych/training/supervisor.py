"""Starts the processes of a team on this machine, and starts them anew when one is lost.

So do they begin anew when one of them had no memory for its share of a batch: no other one is left
waiting in an exchange, and all are told to take smaller parts from that step on.

Every attempt meets in a new folder, which nobody else can read. That is why this is not torchrun's
elastic agent: its restarted processes share a store of addresses with those before them, and a slow
one can find where a dead process was and wait there for ever. Nothing outlives an attempt here but
the checkpoints of the run.
"""

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diptych.core import errors
from diptych.core.errors import ConfigError, DiptychError, TrainingError
from diptych.core.progress import Reporter, Step, StopRequest
from diptych.training.attempt import Attempt, Ending
from diptych.training.meeting import timeout_of
from diptych.training.memory import Cut, parts_at
from diptych.training.worker import Failed

SILENCE_S = 300.0
RESTARTS = 3
MOST = 64
CHECKPOINTS = "checkpoint-*"


def _silence_s() -> float:
    return max(SILENCE_S, timeout_of(os.environ))


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run: `command` in each of `count` processes, with checkpoints in `folder`.

    They are taken for hung when none of them made progress for `silence_s`, by default five minutes
    or as long as they wait for each other, if that is longer; and are started anew at most
    `restarts` times without a new checkpoint, or smaller parts of a batch, in between.
    """

    command: Sequence[str]
    count: int
    folder: Path
    restarts: int = RESTARTS
    silence_s: float = field(default_factory=_silence_s)


def supervise(job: Job, report: Reporter, stop: StopRequest) -> Any:  # noqa: ANN401  any JSON
    """Run a team of processes to its end.

    Args:
        job: What to run.
        report: Told what the first process tells, and of restarts.
        stop: Passed on to the processes, which then end by themselves.

    Returns:
        The first process's result.

    Raises:
        TrainingError: If processes are lost more often than they may be started anew.
        DiptychError: If a process ended with one; it is the same here.
    """
    _check(job)
    failures, kept, cuts = 0, _newest(job.folder), tuple[Cut, ...]()
    while True:
        ending = _attempt(job, cuts, report, stop)
        why, cut = _loss_of(ending)
        if not why:
            return ending.value
        newest = _newest(job.folder)
        has_come_on = newest != kept or (cut and cut.parts > parts_at(math.inf, 1, cuts))
        failures, kept = (1 if has_come_on else failures + 1), newest
        cuts += (cut,) if cut else ()
        if failures > job.restarts or stop:
            raise TrainingError(
                f"{why}, at attempt {failures} from the same checkpoint",
                "go on from there (train: with --resume), or train on one device",
            )
        said = f"{why}: the processes start anew from {kept or 'the beginning'}"
        said += f", attempt {failures} of {job.restarts}"
        report(Step(stage="restart", done=1, total=1, note=said))


def _attempt(job: Job, cuts: tuple[Cut, ...], report: Reporter, stop: StopRequest) -> Ending:
    with tempfile.TemporaryDirectory(prefix="diptych-") as folder:
        attempt = Attempt(job.command, job.count, Path(folder), cuts=cuts)
        try:
            return attempt.follow(report, stop, job.silence_s)
        finally:
            attempt.close()


def _loss_of(ending: Ending) -> tuple[str, Cut | None]:
    """Return what was lost, nothing where all went well, and how not to lose it again."""
    failure = ending.failure
    if failure is None:
        return ending.lost, None
    if failure.cut is None:
        raise _error_of(failure)
    step, parts = failure.cut.step, failure.cut.parts
    why = f"out of memory at step {step:,}: each batch is computed in {parts} parts from there on"
    return why, failure.cut


def _check(job: Job) -> None:
    if not 1 <= job.count <= MOST:
        raise ConfigError(f"{job.count} devices cannot train", f"choose 1 to {MOST}")


def _newest(folder: Path) -> str:
    return max((path.name for path in folder.glob(CHECKPOINTS)), default="")


def _error_of(failure: Failed) -> DiptychError:
    """Make the error of a worker's words, of the same class where it is one of ours."""
    kind = getattr(errors, failure.kind, TrainingError)
    known = isinstance(kind, type) and issubclass(kind, DiptychError)
    made: DiptychError = (kind if known else TrainingError)(failure.message, failure.hint)
    return made
