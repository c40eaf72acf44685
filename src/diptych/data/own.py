"""Data of a user's own task: class folders of any files, or what the task's reader lists."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from diptych.core import arrays
from diptych.core.errors import DataError
from diptych.core.progress import Reporter, Step
from diptych.core.specs import InputSpec
from diptych.core.values import Assets, Skipped
from diptych.data.folders import split_folders, subfolders, walk
from diptych.data.raw import RawData, RawSplit, named_splits
from diptych.data.reading import Decoded, Learned, Modality, Options
from diptych.tasks.code import users_code
from diptych.tasks.own import OwnPreparer, Task

REPORT_EVERY = 200
READ_HINT = "mend it; it gives pairs of item and label for each split, by its name"
Pairs = Mapping[str, Iterable[tuple[Any, object]]]


def read_own(source: Path, task: Task) -> RawData:
    """Read a source as a user's task says.

    Args:
        source: Whatever the task's reader takes, or a tree of class folders.
        task: The task.

    Returns:
        Its splits.

    Raises:
        DataError: If there is no training split, or nothing in it, or a split is not known.
    """
    listed, warnings = _listed(source, task)
    splits = {name: _raw_split(name, list(pairs)) for name, pairs in listed.items()}
    if "train" not in splits or not splits["train"].items:
        raise DataError(f"{source} gives no training items", f"as read for task {task.name!r}")
    return RawData(name=source.resolve().name, kind="own", splits=splits, warnings=warnings)


def modality(task: Task) -> Modality:
    """Describe a user's task as a kind of input.

    Args:
        task: The task.

    Returns:
        How its items are prepared.
    """
    return Modality(noun="items", learn=partial(_learn, task), decode=partial(_decode, task))


def _learn(
    task: Task, splits: Mapping[str, RawSplit], options: Options, report: Reporter
) -> Learned:
    return Learned(spec=task.spec)


def _decode(
    task: Task, name: str, split: RawSplit, spec: InputSpec, assets: Assets, report: Reporter
) -> Decoded:
    prepare = OwnPreparer(task.spec, task)
    inputs = arrays.empty((len(split.items), *task.shape), task.dtype)
    part = arrays.items_per_part(inputs)
    kept, skipped = [], []
    for row, item in enumerate(_contents(split)):
        try:
            inputs[row] = prepare(item)
            kept.append(row)
        except DataError as error:
            skipped.append(Skipped(item=split.items[row], reason=error.message))
        if row % part == 0:
            arrays.release(inputs)
        if row % REPORT_EVERY == 0:
            report(Step(stage=f"decode {name}", done=row, total=len(split.items)))
    rows = np.array(kept, dtype=np.int64)
    whole = len(rows) == len(inputs)
    return (inputs if whole else arrays.take(inputs, rows)), rows, skipped


def _listed(source: Path, task: Task) -> tuple[Pairs, tuple[str, ...]]:
    """List the items and labels of each split, and warnings."""
    if task.read is not None:
        with users_code(f"read of task {task.name!r}", READ_HINT):
            listed = {
                split: [(item, label) for item, label in pairs]
                for split, pairs in task.read(source).items()
            }
        names = named_splits(source, listed)
        return {split: listed[name] for split, name in names.items()}, ()
    if not source.is_dir():
        raise DataError(f"{str(source)!r} is not a folder", "a folder of class folders is needed")
    splits, warnings = split_folders(source)
    return {name: _labelled(folder) for name, folder in splits.items()}, warnings


def _labelled(folder: Path) -> list[tuple[Path, str]]:
    return [
        (file, each.name)
        for each in subfolders(folder)
        for file in sorted(walk(each))
        if file.is_file()
    ]


def _contents(split: RawSplit) -> Sequence[Any]:
    return split.contents if isinstance(split.contents, list) else []


def _raw_split(name: str, pairs: Sequence[tuple[Any, object]]) -> RawSplit:
    items = [
        str(item) if isinstance(item, str | Path) else f"{name}#{row}"
        for row, (item, _) in enumerate(pairs)
    ]
    return RawSplit(
        items=items,
        labels=[label for _, label in pairs],
        contents=[item for item, _ in pairs],
    )
