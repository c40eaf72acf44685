"""`NAME.fit`: what a fit that was interrupted goes on from, beside the bundle that it makes.

It holds what was asked for and planned, and for each model the folder of its training. The same
command goes on with it, another one with those models that it would train alike. It is removed
when the fit is over.
"""

import shutil
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeVar

import msgspec

from diptych.core.errors import ConfigError
from diptych.core.files import storage_error, write_atomic
from diptych.core.progress import Reporter, Step
from diptych.core.specs import Value
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.run_folder import RunFolder

Kept = TypeVar("Kept", bound=Value)

BUNDLE, SUFFIX = ".dip", ".fit"
PLAN, MODEL = "fit.json", "model.json"


def folder_of(bundle: Path) -> Path:
    """Say where the folder of a fit is.

    Args:
        bundle: Where the bundle is, or will be.

    Returns:
        A place beside it.
    """
    return beside(bundle, SUFFIX)


def beside(bundle: Path, suffix: str) -> Path:
    """Name what belongs to a bundle and lies beside it.

    Args:
        bundle: Where the bundle is, or will be.
        suffix: Such as ``.run``.

    Returns:
        The bundle's name with that suffix in the place of its own.
    """
    return bundle.with_name(bundle.name.removesuffix(BUNDLE) + suffix)


class FitRequest(Value):
    """All that decides what a fit does, but how long it may take.

    `data_sha256` is of the data as it was split, with items without labels, `given` a recipe,
    `teachers` who teach.
    """

    data_sha256: str
    budget: str
    seed: int
    target: str
    timed: bool
    given: FitRecipe | None = None
    teachers: tuple[str, ...] = ()
    module: str | None = None
    compress: bool = False
    device: str | None = None


class PlannedFit(Value):
    """A request, and the recipe that is followed."""

    request: FitRequest
    recipe: FitRecipe


class PlannedModel(Value):
    """All that decides what a model learns."""

    data_sha256: str
    seed: int
    plan: ModelPlan
    teacher: ModelPlan | None


class FitFolder:
    """The folder of a fit.

    Args:
        path: Where it is, or will be once there is something to keep.
        request: What is asked for.
        report: Told that a fit goes on, and of checkpoints that cannot be read.

    Raises:
        ConfigError: If something else is there.
    """

    def __init__(self, path: Path, request: FitRequest, report: Reporter) -> None:
        self.path, self.request, self.report = path, request, report
        self.opened = ExitStack()
        self.runs: dict[str, RunFolder] = {}
        if path.is_dir() and any(path.iterdir()) and not (path / PLAN).exists():
            raise ConfigError(f"{path} is not a fit's folder", "give another --out, or remove it")
        kept = _read(path / PLAN, PlannedFit)
        self.recipe = kept.recipe if kept and kept.request == request else None
        if self.recipe:
            self._say(f"goes on from {path}")

    def keep(self, recipe: FitRecipe) -> None:
        """Write down what is planned.

        Args:
            recipe: With the students that are to be trained.

        Raises:
            StorageError: If it cannot be written.
        """  # noqa: DOC501  storage_error makes it
        self.recipe = recipe
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(self.path, error) from error
        _write(self.path / PLAN, PlannedFit(request=self.request, recipe=recipe))

    def run(self, plan: ModelPlan, teacher: ModelPlan | None) -> RunFolder:
        """Open the folder of a model's training; one of another training is emptied.

        Args:
            plan: The model.
            teacher: Whom it imitates.

        Returns:
            The folder, held until this one is closed.
        """
        place = self.path / plan.name
        folder = self.runs.get(plan.name)
        if folder is None:
            folder = self.opened.enter_context(closing(RunFolder(place, self._say)))
            self.runs[plan.name] = folder
        request = self.request
        wanted = PlannedModel(
            data_sha256=request.data_sha256, seed=request.seed, plan=plan, teacher=teacher
        )
        if _read(place / MODEL, PlannedModel) != wanted:
            folder.clear()
            _write(place / MODEL, wanted)
        return folder

    def spent_s(self) -> float:
        """Say how long this fit has trained models before.

        Returns:
            Seconds, by their last checkpoints; 0 for a fit that begins.
        """
        if self.recipe is None:
            return 0.0
        seconds = 0.0
        for file in self.path.glob(f"*/{MODEL}"):
            with closing(RunFolder(file.parent, self._say)) as folder:
                kept = folder.latest()
            seconds += kept.position.seconds if kept else 0.0
        return seconds

    def close(self) -> None:
        """Let another process have the folders of models."""
        self.opened.close()

    def remove(self) -> None:
        """Remove the folder, for the fit is over."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def _say(self, text: str) -> None:
        self.report(Step(stage="fit", done=1, total=1, note=text))


def _read(path: Path, kind: type[Kept]) -> Kept | None:
    """Read what was kept; what is not there, or is of another version, does not count."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(path: Path, kept: Value) -> None:
    write_atomic(path, msgspec.json.format(msgspec.json.encode(kept), indent=2))
