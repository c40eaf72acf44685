"""`run.json`: what a training was asked for, so that it can go on in another process."""

import dataclasses
from pathlib import Path

import msgspec

from diptych.core.errors import ConfigError
from diptych.core.files import write_atomic
from diptych.core.specs import Value
from diptych.core.values import Goal
from diptych.data.builtin import BUILTINS
from diptych.fitting.recipe import FitRecipe
from diptych.fitting.settings import Settings
from diptych.training.run_folder import REQUEST

NAME = REQUEST
FORMAT = 1


class RunFile(Value):
    """The request: `data` is a built-in name or an absolute path, None where it was handed over.

    `task` is the name of a user's own task, which has to be given again; the other settings are
    those of a training. `seconds` is its time limit.
    """

    data: str | None
    out: str
    seed: int
    recipe: FitRecipe
    seconds: float | None = None
    label: str | None = None
    goal: Goal | None = None
    order: tuple[str, ...] | None = None
    image_size: int | None = None
    skip_unreadable: bool = False
    cache: bool = True
    task: str | None = None
    device: str | None = None
    devices: int = 1
    shard: bool = False
    unlabelled: str | None = None
    format: int = FORMAT


def request_of(
    data: str | Path | None, out: Path, recipe: FitRecipe, settings: Settings
) -> RunFile:
    """Write down what was asked for.

    Args:
        data: A built-in name or a path; None for data that was handed over.
        out: The bundle's folder.
        recipe: What is trained, with the seed.
        settings: The rest.

    Returns:
        The request, of paths that hold in any folder, without a time limit.
    """
    if data is not None and not (isinstance(data, str) and data in BUILTINS):
        data = Path(data).resolve()
    return RunFile(
        data=None if data is None else str(data),
        out=str(out.resolve()),
        seed=recipe.seed,
        recipe=recipe,
        label=settings.label,
        goal=settings.goal,
        order=settings.order,
        image_size=settings.image_size,
        skip_unreadable=settings.skip_unreadable,
        cache=settings.cache,
        task=None if settings.task is None else settings.task.name,
        device=settings.device,
        devices=settings.devices,
        shard=settings.shard,
        unlabelled=None if settings.unlabelled is None else str(settings.unlabelled.resolve()),
    )


def write(folder: Path, run: RunFile) -> None:
    """Write a request into a run's folder.

    Args:
        folder: The folder, which exists.
        run: The request.
    """
    write_atomic(folder / NAME, msgspec.json.format(msgspec.json.encode(run), indent=2))


def is_readable(folder: Path) -> bool:
    """Say whether a folder holds the request of a training that can go on.

    Args:
        folder: Any folder.

    Returns:
        False where there is none, or it is damaged.
    """
    try:
        read(folder)
    except ConfigError:
        return False
    return True


def settings_of(request: RunFile, settings: Settings) -> Settings:
    """Fill in what a request says of how data is read and where the training is done.

    Args:
        request: The request.
        settings: The rest; a device that is given takes the place of the request's.

    Returns:
        The settings.
    """
    return dataclasses.replace(
        settings,
        recipe=request.recipe,
        label=request.label,
        goal=request.goal,
        order=request.order,
        image_size=request.image_size,
        skip_unreadable=request.skip_unreadable,
        cache=request.cache,
        unlabelled=None if request.unlabelled is None else Path(request.unlabelled),
        device=settings.device or request.device,
        devices=settings.devices if settings.devices > 1 else request.devices,
    )


def read(folder: Path) -> RunFile:
    """Read the request of a run.

    Args:
        folder: The run's folder.

    Returns:
        The request.

    Raises:
        ConfigError: If there is none, or it is damaged or of another version.
    """
    try:
        run = msgspec.json.decode((folder / NAME).read_bytes(), type=RunFile)
    except OSError as error:
        raise ConfigError(
            f"{folder} is not a run's folder: it has no {NAME}", "give the folder ending in .run"
        ) from error
    except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
        raise ConfigError(f"{folder / NAME} cannot be used: {error}", "start anew") from error
    if run.format != FORMAT:
        raise ConfigError(
            f"{folder} is of run format {run.format}, not {FORMAT}",
            "go on with the version of diptych that wrote it",
        )
    return run
