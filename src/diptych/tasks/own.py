"""A user's own task: how an item is decoded, the network, the loss and the score, in one value.

It is handed over by a plain call (``fit(..., settings=Settings(task=TASK))``), on the command line
as ``--task file.py:TASK``, or found by its name among the entry points ``diptych.tasks`` of
installed packages. A bundle holds the task's name only, never its code.

Shapes: N items, B batch, K outputs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diptych.core.errors import ConfigError, DataError, DiptychError
from diptych.core.specs import OwnSpec
from diptych.core.text import nearest
from diptych.core.values import Dataset, Goal
from diptych.tasks.code import find_object, users_code

ENTRY_POINTS = "diptych.tasks"
LONGEST_NAME = 120
DECODE_HINT = "mend it; of an item that cannot be decoded it raises ValueError or OSError"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task that Diptych does not know.

    `decode` turns an item (a path, a file's content, an array, or whatever `read` gives) into an
    array of `shape` and `dtype`; it raises ValueError, OSError or DataError where it cannot.
    `network(spec, outputs, width)` builds a torch module from (B, ...) of these to (B, K);
    students are built with widths below 1. `loss(outputs, targets)` gives a scalar tensor, by
    default the goal's. `score` is a name with a function from outputs (N, K) and targets to how
    well each item was told (N,), bool or float up to 1; its mean is the main score in the place of
    the goal's. `read` lists (item, label) of each split of a source; by default class folders of
    any files are read.
    """

    name: str
    shape: tuple[int, ...]
    decode: Callable[[Any], np.ndarray]
    network: Callable[[OwnSpec, int, float], Any]
    dtype: Literal["uint8", "int16", "int32", "int64", "float32"] = "float32"
    goal: Goal = "classification"
    loss: Callable[[Any, Any], Any] | None = None
    score: tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] | None = None
    read: Callable[[Path], Mapping[str, Iterable[tuple[Any, object]]]] | None = None

    @property
    def spec(self) -> OwnSpec:
        """What a graph takes."""
        return OwnSpec(task=self.name, dtype=self.dtype, shape=self.shape)


class OwnPreparer:
    """Turns items of a user's task into what the graph takes, as the task decodes them.

    Args:
        spec: What the graph takes.
        given: The task; by default it is found by its name when the first item comes, so that a
            program can be opened and measured where the task is not installed.
    """

    def __init__(self, spec: OwnSpec, given: Task | None = None) -> None:
        self.spec = spec
        self._given = given

    @cached_property
    def task(self) -> Task:
        """The task; ConfigError where there is none of this name or it takes something else."""
        task = find(self.spec.task) if self._given is None else self._given
        if task.spec != self.spec:
            raise ConfigError(
                f"the model is of task {self.spec.task!r} on {self.spec.tensor().item}, "
                f"not of {task.name!r} on {task.spec.tensor().item}",
                "hand the task over that it was made with",
            )
        return task

    def __call__(self, item: Any) -> np.ndarray:  # noqa: ANN401  what an item is, the task says
        """Decode one item.

        Args:
            item: What the task decodes.

        Returns:
            An array as the spec says.

        Raises:
            ConfigError: If the task gives something else, or raises what no bad item should.
            DataError: If the task cannot decode the item.
        """
        array = self._decoded(item)
        if array.shape != self.spec.shape or array.dtype != self.spec.dtype:
            raise ConfigError(
                f"task {self.spec.task!r} decoded an item to {array.dtype} {array.shape}",
                f"it must be {self.spec.dtype} {self.spec.shape}, as the task says",
            )
        return array

    def _decoded(self, item: Any) -> np.ndarray:  # noqa: ANN401  what an item is, the task says
        task = self.task
        bad = (ValueError, OSError)
        try:
            with users_code(f"decode of task {task.name!r}", DECODE_HINT, _name(item), bad):
                return np.asarray(task.decode(item))
        except DiptychError:
            raise
        except bad as error:
            raise DataError(f"task {task.name!r} cannot decode {_name(item)}: {error}") from error


def find(name: str) -> Task:
    """Find a task by the name or the place that a user gave.

    Args:
        name: An entry point's name, ``package.module:OBJECT``, or ``path/to/file.py:OBJECT``.

    Returns:
        The task.

    Raises:
        ConfigError: If there is none, it cannot be loaded, or it is not a task.
    """
    return _checked(find_object(name) if ":" in name else _entry_point(name), name)


def task_of(dataset: Dataset) -> Task | None:
    """Give the user's own task of a data set.

    Args:
        dataset: Any data set.

    Returns:
        The task, or None where Diptych knows what the data is.
    """
    return dataset.own if isinstance(dataset.own, Task) else None


def _name(item: object) -> str:
    return repr(item)[:LONGEST_NAME]


def _entry_point(name: str) -> object:
    known = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in known:
        near = f"{nearest(name, known)}; or " if known else ""
        raise ConfigError(
            f"there is no task {name!r} installed",
            f"{near}hand it over: --task file.py:TASK, load(..., task=TASK)",
        )
    what = f"task {name!r} cannot be loaded: {known[name].value}"
    with users_code(what, "import it on its own first, or install its package again"):
        found: object = known[name].load()
    return found


def _checked(found: object, name: str) -> Task:
    if not isinstance(found, Task):
        raise ConfigError(
            f"{name} is of type {type(found).__name__}, not a diptych.Task",
            "make it with diptych.Task(...)",
        )
    return found
