"""A training by several processes: each reads the data, they share every batch and one folder.

The run's folder holds all that they need; when they are done it holds a finished checkpoint, from
which the process that asked for the training goes on to lowering and measuring.
"""

import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from diptych.core.errors import ConfigError
from diptych.core.interpreter import python
from diptych.fitting import run_file
from diptych.fitting.job import Job, read_data
from diptych.fitting.recipe import UNTRAINED, FitRecipe
from diptych.fitting.run_file import RunFile
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import train_model
from diptych.training import supervisor
from diptych.training.compute import find_device
from diptych.training.control import RunControl
from diptych.training.process_team import ProcessTeam, join
from diptych.training.run_folder import RunFolder
from diptych.training.sharded_team import ShardedTeam
from diptych.training.start import read_start
from diptych.training.supervisor import supervise
from diptych.training.worker import Worker

NO_LIMIT = "inf"


def check_shareable(request: RunFile, settings: Settings) -> None:
    """Check that other processes can read what a training is about.

    Args:
        request: What was asked for.
        settings: By how many processes.

    Raises:
        ConfigError: If they cannot.
    """
    devices = settings.devices
    if request.shard and devices == 1:
        raise ConfigError("one device has no others to share weights with", "give --devices")
    if devices == 1:
        return
    if request.data is None:
        raise ConfigError("each process reads the data itself", "give its path, or one device")
    if request.task is not None:
        raise ConfigError(
            f"the task {request.task!r} cannot be handed to other processes", "use one device"
        )
    if settings.tune:
        raise ConfigError(
            f"one process tries how this machine computes fastest, {devices} are asked for",
            "leave --tune out, or use one device",
        )
    first = request.recipe.teacher
    if first.kept or isinstance(first.network, UNTRAINED):
        why = "was trained before" if first.kept else "is no network that processes can share"
        raise ConfigError(
            f"{devices} devices would train {first.name}, which {why}",
            "use one device; --jobs trains several students at once",
        )


def train_in_processes(
    job: Job, control: RunControl, recipe: FitRecipe, settings: Settings
) -> None:
    """Have a network trained by a team of processes, until its folder holds the end of the run.

    Nothing is started where it does already.

    Args:
        job: Where the data is.
        control: Deadline, progress and stop request, and the folder of the run.
        recipe: Whose first network is trained.
        settings: How many processes, and how the data is read.

    Raises:
        TypeError: If the run has no folder.
    """
    if control.folder is None:
        raise TypeError(f"{control.name} has no folder that processes could share")
    path, kept = control.folder.path, control.folder.latest()
    if kept and not kept.position.remaining:
        return
    if job.run is None:
        run_file.write(path, run_file.request_of(job.source, job.destination, recipe, settings))
    count, cores = settings.devices, job.machine.cores
    if control.device.type == "cpu" and count > cores:
        control.warn(f"{count} processes are more than the cores of this machine ({cores})")
    left = float(NO_LIMIT) if control.deadline is None else control.deadline - control.clock()
    until = str(time.time() + left)
    words = "-m", "diptych.fitting.worker", str(path), until, str(control.checkpoint_s)
    team = supervisor.Job(command=python(*words), count=count, folder=path)
    supervise(team, control.report, control.stop)


def train_share(worker: Worker, folder: Path, until: float, checkpoint_s: float) -> None:
    """Do one process's share of a training.

    Args:
        worker: Whom to meet, whom to tell how it goes, and whether to stop.
        folder: The run's.
        until: When to be done, in seconds since 1970, the same for every attempt.
        checkpoint_s: How often the first process leaves a checkpoint.

    Raises:
        ConfigError: If the folder does not say where the data is.
    """
    request = run_file.read(folder)
    if request.data is None:
        raise ConfigError(f"{folder} does not say where its data is", "use one device")
    settings = run_file.settings_of(request, Settings(report=worker.report, stop=worker.stop))
    clock = settings.clock
    deadline = None if until == float(NO_LIMIT) else clock() + until - time.time()
    source = settings.source_of_weights()
    start = None if source is None else read_start(source)
    dataset = read_data(request.data, request.seed, settings, start)
    plan = request.recipe.teacher
    kind = ShardedTeam if request.shard else ProcessTeam
    device = str(find_device(settings.device))
    with join(worker.meeting, device, kind) as team, ExitStack() as stack:
        control = RunControl(
            name=plan.name,
            seed=request.recipe.seed,
            deadline=deadline,
            clock=clock,
            report=worker.report,
            stop=worker.stop,
            device=team.device,
            checkpoint_s=checkpoint_s,
            team=team,
        )
        if team.rank == 0:
            opened = RunFolder(folder, control.warn, held=False)
            control = replace(control, folder=stack.enter_context(closing(opened)))
        train_model(plan, dataset, control)
