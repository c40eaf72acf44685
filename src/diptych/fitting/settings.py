"""How a fit or a training is run, apart from what is asked of the model."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diptych.compression.function import Function, name_of
from diptych.core.errors import ConfigError
from diptych.core.progress import Reporter, StopRequest, silent
from diptych.core.text import nearest
from diptych.core.values import Goal
from diptych.data.reading import Options
from diptych.fitting.asked import check_text_or_path, check_whole, seconds_of
from diptych.fitting.recipe import FitRecipe, read_recipe, starts_of
from diptych.inference.store import is_bundle
from diptych.tasks.goals import GOALS
from diptych.tasks.own import Task
from diptych.training.meeting import Meeting
from diptych.training.models.given import Given

Teacher = Path | Function
"""A bundle, a file or a folder; or a function of raw inputs."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Choices with usual values.

    Of the data: `label` names the label's column; `goal` is what is told of an item, inferred by
    default, with the `order` of classes from least to most where it is ordinal; `image_size` is the
    side in pixels that pictures are brought to; `skip_unreadable` leaves damaged items out and
    counts them; `cache` takes what was decoded before from where it was kept, and keeps it there;
    `task` is a user's own; `validation_items` are held back of the training data, by default as
    the recipe says.

    `unlabelled` is where more items are, without labels, to which students learn the teacher's
    answers.

    Of the models: `target` is a kind of hardware; `recipe` replays a fit, and may be given as its
    file or as a bundle; `teacher` is whom
    students learn from: a bundle, an ONNX file, a function from raw inputs (N, ...) to logits
    (N, K), several of these, whose probabilities are averaged, or a local Hugging Face folder with
    an encoder, and `given` a user's own module that does, with the `weights` of a safetensors file
    if it comes without them; `output` names which of several outputs of a module or an ONNX file
    are the scores; with `compress` the teacher itself is made smaller too; `start` is a bundle, or
    a safetensors file or such a folder, whose weights a training starts from.

    Of the training: `device` is where networks are trained, by default a graphics processor if one
    is there; `devices` is by how many processes a network is, or the teacher of a fit, each with a
    part of the weights if `shard`, and `meeting` where they meet if they have been started already;
    `jobs` is how many students of a fit are trained at once; `tune` tries first how the machine
    computes fastest; `run` is the folder of a training's checkpoints and records, by default beside
    the bundle, with a checkpoint every `checkpoint_s`.

    `clock` gives seconds, and a time limit counts from `started`, or else from the call.
    """

    target: str = "cpu"
    recipe: FitRecipe | None = None
    teacher: Teacher | Sequence[Teacher] | None = None
    given: Given | None = None
    weights: Path | None = None
    output: str | None = None
    compress: bool = False
    start: Path | None = None
    label: str | None = None
    goal: Goal | None = None
    order: tuple[str, ...] | None = None
    image_size: int | None = None
    validation_items: int | None = None
    skip_unreadable: bool = False
    cache: bool = True
    unlabelled: Path | None = None
    task: Task | None = None
    device: str | None = None
    devices: int = 1
    shard: bool = False
    meeting: Meeting | None = None
    jobs: int = 1
    tune: bool = False
    run: Path | None = None
    checkpoint_s: float = 60.0
    report: Reporter = silent
    stop: StopRequest = field(default_factory=StopRequest)
    clock: Callable[[], float] = time.monotonic
    started: float | None = None

    def __post_init__(self) -> None:
        """Take texts for paths, and check what came from a caller in Python.

        Raises:
            ConfigError: If a value is of another type, or out of its range.
        """
        for name in ("start", "run", "weights", "unlabelled"):
            given = getattr(self, name)
            check_text_or_path(name, given)
            object.__setattr__(self, name, None if given is None else Path(given))
        object.__setattr__(self, "teacher", _without_texts(self.teacher))
        for name in ("devices", "jobs", "image_size", "validation_items"):
            check_whole(name, getattr(self, name), least=1)
        if self.checkpoint_s != 0:  # at every step
            object.__setattr__(self, "checkpoint_s", seconds_of("checkpoint_s", self.checkpoint_s))
        if isinstance(self.recipe, str | Path):
            object.__setattr__(self, "recipe", read_recipe(Path(self.recipe)))
        if not isinstance(self.recipe, FitRecipe | None):
            seen = type(self.recipe).__name__
            raise ConfigError(f"recipe is of the type {seen}", "give a .toml file or a bundle")
        if self.goal is not None and self.goal not in GOALS:
            raise ConfigError(f"there is no goal {self.goal!r}", nearest(str(self.goal), GOALS))
        if not isinstance(self.label, str | None):
            raise ConfigError(f"label = {self.label!r} is no column", "give its name, a text")

    def begin(self) -> float:
        """Give the moment from which a time limit counts.

        Returns:
            Seconds of `clock`: `started` if it is set, else now.
        """
        return self.clock() if self.started is None else self.started

    def reading(self, seed: int) -> Options:
        """Say how data is read.

        Args:
            seed: Of the splits that have to be made.

        Returns:
            The options.
        """
        return Options(
            seed=seed,
            validation_items=self.held_back(),
            target=self.label,
            goal=self.goal or (self.task.goal if self.task else None),
            order=self.order,
            image_size=self.image_size,
            skip_unreadable=self.skip_unreadable,
            cache=self.cache,
            task=self.task,
        )

    def teachers(self) -> tuple[Teacher, ...]:
        """List whom students learn from.

        Returns:
            Those that were given; none where one is trained.
        """
        if self.teacher is None:
            return ()
        return tuple(self.teacher) if isinstance(self.teacher, Sequence) else (self.teacher,)

    def functions(self) -> dict[str, Function]:
        """List the teachers that are functions.

        Returns:
            Them, by name.
        """
        return {name_of(t): t for t in self.teachers() if not isinstance(t, Path)}

    def source_of_weights(self) -> Path | None:
        """Say which weights a training starts from.

        Returns:
            The first bundle that teaches, the bundle or file that is given, that of the recipe, or
            None.
        """
        bundles = [t for t in self.teachers() if isinstance(t, Path) and is_bundle(t)]
        recipe = self.recipe
        plans = (recipe.teacher, *recipe.students) if recipe else ()
        starts = [start.source for plan in plans for start in starts_of(plan)]
        return next(iter(bundles), self.start or next(iter(starts), None))

    def taught_by(self) -> str | None:
        """Say who teaches, so that another teacher is known.

        Returns:
            The places of bundles and files, or the hash of a module, with the output.
        """
        if self.given is not None:
            return f"{self.given.sha256} {self.given.output}"
        paths = [str(each.resolve()) for each in self.teachers() if isinstance(each, Path)]
        return f"{' '.join(paths)} {self.output}" if paths else None

    def held_back(self) -> int | None:
        """Decide how many items are held back of the training data for validation.

        Returns:
            What was asked for, else what the recipe says; None for the usual share.
        """
        return self.validation_items or (self.recipe.validation_items if self.recipe else None)

    def seed(self, given: int | None) -> int:
        """Decide the seed of everything random.

        Args:
            given: What was asked for, if anything.

        Returns:
            What was asked for, else the recipe's seed, else 0.
        """
        return given if given is not None else self.recipe.seed if self.recipe else 0


def _without_texts(
    teacher: Teacher | Sequence[Teacher] | None,
) -> Teacher | tuple[Teacher, ...] | None:
    """Take texts for paths."""
    if isinstance(teacher, str):
        return Path(teacher)
    if isinstance(teacher, Sequence):
        return tuple(Path(each) if isinstance(each, str) else each for each in teacher)
    return teacher


SETTINGS = Settings()
