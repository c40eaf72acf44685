"""Inspection: what a data set holds and what is wrong with it, as one document."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from diptych.core.progress import Reporter, silent
from diptych.core.specs import InputSpec, Value
from diptych.core.values import Dataset, Skipped
from diptych.data import read_with_facts
from diptych.data.reading import Options


class Inspection(Value):
    """What a data set holds: items per split and class, and what was noticed on the way.

    `facts` are lines about the items before they were prepared.
    """

    name: str
    task: str
    input: InputSpec
    labels: tuple[str, ...]
    counts: dict[str, int]
    counts_per_class: dict[str, dict[str, int]]
    facts: tuple[str, ...]
    split_method: str
    seed: int
    sha256: str
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]


def inspect(
    source: str | Path, options: Options | None = None, report: Reporter = silent
) -> Inspection:
    """Look into labelled data; items that cannot be read are listed, not an error.

    Args:
        source: As for :func:`diptych.data.read`.
        options: How to read it.
        report: Told how far it is.

    Returns:
        What it holds.
    """
    lenient = replace(options or Options(), skip_unreadable=True)
    return summarize(*read_with_facts(source, lenient, report))


def summarize(dataset: Dataset, facts: tuple[str, ...]) -> Inspection:
    """Count what a data set holds.

    Args:
        dataset: The data set.
        facts: Lines about its items.

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
        facts=facts,
        split_method=record.split_method,
        seed=record.seed,
        sha256=record.sha256,
        skipped=record.skipped,
        warnings=record.warnings,
    )
