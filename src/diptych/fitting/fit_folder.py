"""`NAME.fit`: what a fit that was interrupted goes on from, beside the bundle that it makes.

It holds what was asked for and planned, and for each model the folder of its training. The same
command goes on with it, another one with those models that it would train alike. It is removed
when the fit is over.
"""

import math
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from diptych.core.errors import ConfigError, StorageError, TrainingError
from diptych.core.files import storage_error, write_atomic
from diptych.core.progress import Reporter, Step
from diptych.core.specs import Value
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.run_folder import RunFolder

Kept = TypeVar("Kept", bound=Value)

BUNDLE, SUFFIX = ".dip", ".fit"
PLAN, MODEL = "fit.json", "model.json"
KEPT_EVERY_S = 10.0
"""How often the time that a fit has taken is written down."""


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
    """A request, the recipe that is followed, and how long that has taken so far."""

    request: FitRequest
    recipe: FitRecipe
    spent_s: float = 0.0


class PlannedModel(Value):
    """All that decides what a model learns."""

    data_sha256: str
    seed: int
    plan: ModelPlan
    teacher: ModelPlan | None


class FitFolder:
    """The folder of a fit; `spent_s` is how long its earlier calls took, where that was counted.

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
        kept = kept if kept and kept.request == request else None
        self.recipe = kept.recipe if kept else None
        self.spent_s = kept.spent_s if kept else 0.0
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
        planned = PlannedFit(request=self.request, recipe=recipe, spent_s=self.spent_s)
        _write(self.path / PLAN, planned)

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
        wanted = self._planned(plan, teacher)
        if _read(place / MODEL, PlannedModel) != wanted:
            folder.clear()
            _write(place / MODEL, wanted)
        return folder

    def is_done(self, plan: ModelPlan, teacher: ModelPlan | None) -> bool:
        """Say whether a model was trained to the end before.

        Args:
            plan: The model.
            teacher: Whom it imitates.

        Returns:
            False too where its checkpoints cannot be read.
        """
        if _read(self.path / plan.name / MODEL, PlannedModel) != self._planned(plan, teacher):
            return False
        with suppress(TrainingError):
            kept = self.run(plan, teacher).latest()
            return kept is not None and kept.position.remaining == 0
        return False

    def counting(self, before_s: float, clock: Callable[[], float] = time.monotonic) -> Reporter:
        """Make what passes steps on, and meanwhile writes down how long this fit has taken.

        A process that is killed loses the count of the last seconds.

        Args:
            before_s: How long this call has taken until now.
            clock: Gives seconds.

        Returns:
            The reporter.
        """
        begun, written = clock() - before_s - self.spent_s, -math.inf

        def report(step: Step) -> None:
            nonlocal written
            self.report(step)
            now = clock()
            if self.recipe is not None and now - written >= KEPT_EVERY_S:
                self.spent_s, written = now - begun, now
                with suppress(StorageError):
                    self.keep(self.recipe)

        return report

    def close(self) -> None:
        """Let another process have the folders of models."""
        self.opened.close()

    def remove(self) -> None:
        """Remove the folder, for the fit is over."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def _planned(self, plan: ModelPlan, teacher: ModelPlan | None) -> PlannedModel:
        sha256, seed = self.request.data_sha256, self.request.seed
        return PlannedModel(data_sha256=sha256, seed=seed, plan=plan, teacher=teacher)

    def _say(self, text: str) -> None:
        self.report(Step(stage="fit", done=1, total=1, note=text))


def _read(path: Path, kind: type[Kept]) -> Kept | None:
    """Read what was kept; what is not there, damaged or of another version does not count."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, ValueError, RecursionError):  # msgspec's are ValueErrors
        return None


def _write(path: Path, kept: Value) -> None:
    write_atomic(path, msgspec.json.format(msgspec.json.encode(kept), indent=2))
