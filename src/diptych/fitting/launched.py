"""A training whose processes torchrun started, on one machine or on several.

The first process leads: it plans the training, has its folder, and lowers and measures at the end.
The others are told the plan, read the data where they are, and share every batch.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import replace
from pathlib import Path

import msgspec

from diptych.core.errors import ConfigError
from diptych.core.specs import Value
from diptych.fitting import run_file
from diptych.fitting.job import Job, read_data
from diptych.fitting.run_file import RunFile
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import train_model
from diptych.training.compute import find_device
from diptych.training.control import RunControl
from diptych.training.meeting import Meeting, meeting_of
from diptych.training.memory import Cut
from diptych.training.process_team import ProcessTeam, join
from diptych.training.sharded_team import ShardedTeam
from diptych.training.start import read_start


class Told(Value):
    """What the first process tells the others: the request, and the hash of the data it is of."""

    request: RunFile
    data_sha256: str


def launched(
    environment: Mapping[str, str], settings: Settings, accumulation: int | None = None
) -> Settings:
    """Say that torchrun started this process, where it did.

    Args:
        environment: The process's.
        settings: What was asked for.
        accumulation: In how many parts a batch is computed at least from now on, 2 or more; that
            of the first process counts.

    Returns:
        The settings, with the meeting of the processes and their number.

    Raises:
        ConfigError: If the environment is not usable, more processes are asked for, or batches are
            to be cut by hand where they need not be.
    """
    meeting = meeting_of(environment)
    if meeting is None or meeting.size == 1:
        if accumulation is not None:
            raise ConfigError(
                "--accumulation is for several processes that torchrun starts",
                "leave it out: batches that memory does not hold are cut, or set it in a recipe",
            )
        return settings
    if accumulation is not None:
        meeting = replace(meeting, cuts=(Cut(step=0, parts=accumulation),))
    if settings.devices > 1:
        raise ConfigError(
            f"torchrun started {meeting.size} processes already", "leave --devices out"
        )
    return replace(settings, meeting=meeting, devices=meeting.size)


def lead(job: Job, control: RunControl, meeting: Meeting) -> None:
    """Train as the first process, until the run's folder holds the end of the run.

    Args:
        job: With the folder of the run.
        control: Deadline, progress, stop request, and the folder.
        meeting: Of the processes.

    Raises:
        ConfigError: If there is no such folder.
    """
    if job.run is None:
        raise ConfigError(f"a fit cannot use {meeting.size} processes", "use diptych train")
    request = run_file.read(job.run.path)
    with join(meeting, str(control.device)) as met, ExitStack() as stack:
        told = Told(request=request, data_sha256=job.dataset.record.sha256)
        met.shared(msgspec.json.encode(told))
        team = stack.enter_context(_team(request, meeting, met))
        control = replace(control, team=team, device=team.device)
        train_model(request.recipe.teacher, job.dataset, control)


def follow(data: str | Path | None, meeting: Meeting, settings: Settings) -> None:
    """Train as another process than the first.

    Args:
        data: A built-in name, or where the data is on this machine; by default where it is on the
            first one's.
        meeting: Of the processes.
        settings: Those of the first process.

    Raises:
        ConfigError: If nobody says where the data is, or it is not the same there.
    """
    device = str(find_device(settings.device))
    with join(meeting, device) as met, ExitStack() as stack:
        told = msgspec.json.decode(met.shared(b""), type=Told)
        request = told.request
        team = stack.enter_context(_team(request, meeting, met))
        source = data or request.data
        if source is None:
            raise ConfigError("each process reads the data itself", "give its path")
        settings = run_file.settings_of(request, settings)
        weights = settings.source_of_weights()
        start = None if weights is None else read_start(weights)
        dataset = read_data(source, request.seed, settings, start)
        if dataset.record.sha256 != told.data_sha256:
            raise ConfigError(
                f"{source} is not the data of the first process here, on process {meeting.rank}",
                "copy the same files to every machine",
            )
        control = RunControl(
            name=request.recipe.teacher.name,
            seed=request.recipe.seed,
            report=settings.report,
            stop=settings.stop,
            device=team.device,
            checkpoint_s=settings.checkpoint_s,
            team=team,
        )
        train_model(request.recipe.teacher, dataset, control)


def _team(
    request: RunFile, meeting: Meeting, met: ProcessTeam
) -> AbstractContextManager[ProcessTeam]:
    """Make the team that trains, of the processes that have met."""
    if not request.shard:
        return nullcontext(met)
    return closing(ShardedTeam(meeting, met.device))
