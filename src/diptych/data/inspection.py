"""Inspection: what a data set holds and what is wrong with it, as one document."""

from pathlib import Path

import msgspec
import numpy as np

from diptych.core.progress import Reporter, silent
from diptych.core.specs import InputSpec, Value
from diptych.core.values import Dataset, Skipped
from diptych.data import read_surveyed
from diptych.data.assemble import Options
from diptych.data.pictures import Survey

MOST_SIZES = 10


class SizeCount(Value, frozen=True, kw_only=True):
    """How many pictures have a size, before they were prepared."""

    height: int
    width: int
    count: int


class Inspection(Value, frozen=True, kw_only=True):
    """What a data set holds: items per split and class, and what was noticed on the way.

    `sizes` are the most frequent, at most 10; `num_sizes` is how many there are.
    """

    name: str
    task: str
    input: InputSpec
    labels: tuple[str, ...]
    counts: dict[str, int]
    counts_per_class: dict[str, dict[str, int]]
    sizes: tuple[SizeCount, ...]
    num_sizes: int
    split_method: str
    seed: int
    sha256: str
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]


def inspect(
    source: str | Path, options: Options | None = None, report: Reporter = silent
) -> Inspection:
    """Look into labelled data; pictures that cannot be read are listed, not an error.

    Args:
        source: As for :func:`diptych.data.read`.
        options: How to read it.
        report: Told how far it is.

    Returns:
        What it holds.
    """
    lenient = msgspec.structs.replace(options or Options(), skip_unreadable=True)
    return summarize(*read_surveyed(source, lenient, report))


def summarize(dataset: Dataset, seen: Survey) -> Inspection:
    """Count what a data set holds.

    Args:
        dataset: The data set.
        seen: The sizes of its pictures before they were prepared.

    Returns:
        The counts, with what its record says.
    """
    record = dataset.record
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    per_class = {
        name: np.bincount(split.targets, minlength=len(dataset.labels)).tolist()
        for name, split in splits.items()
    }
    return Inspection(
        name=record.name,
        task=dataset.task,
        input=dataset.spec,
        labels=dataset.labels,
        counts=record.counts,
        counts_per_class={
            name: dict(zip(dataset.labels, counts, strict=True))
            for name, counts in per_class.items()
        },
        sizes=tuple(
            SizeCount(height=height, width=width, count=count)
            for (height, width), count in seen.sizes.most_common(MOST_SIZES)
        ),
        num_sizes=len(seen.sizes),
        split_method=record.split_method,
        seed=record.seed,
        sha256=record.sha256,
        skipped=record.skipped,
        warnings=record.warnings,
    )
