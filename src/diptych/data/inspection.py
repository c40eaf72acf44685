"""Inspection: what a data set holds and what is wrong with it, as one document."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from diptych.core.progress import Reporter, silent
from diptych.core.specs import InputSpec, Value
from diptych.core.text import number
from diptych.core.values import Dataset, Skipped, Split
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
    return Inspection(
        name=record.name,
        task=dataset.task,
        input=dataset.spec,
        labels=dataset.labels,
        counts=record.counts,
        counts_per_class={name: _per_class(dataset, split) for name, split in splits.items()}
        if dataset.goal != "regression"
        else {},
        facts=(*facts, *_range(dataset)),
        split_method=record.split_method,
        seed=record.seed,
        sha256=record.sha256,
        skipped=record.skipped,
        warnings=record.warnings,
    )


def _per_class(dataset: Dataset, split: Split) -> dict[str, int]:
    if split.targets.ndim == 2:
        counts = split.targets.sum(axis=0).astype(np.int64)
    else:
        counts = np.bincount(split.targets, minlength=len(dataset.labels))
    return dict(zip(dataset.labels, counts.tolist(), strict=True))


def _range(dataset: Dataset) -> tuple[str, ...]:
    if dataset.goal != "regression":
        return ()
    low, middle, high = np.quantile(dataset.train.targets, (0, 0.5, 1)).tolist()
    told = f"{number(low)} to {number(high)}, median {number(middle)}"
    return (f"{dataset.labels[0]} in train: {told}",)
