"""A bundle's answers to labelled data, and two bundles' answers to the same items compared.

Shapes: N items, K outputs.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diptych.core import arrays
from diptych.core.errors import ConfigError, DataError
from diptych.core.progress import Reporter, Step, silent
from diptych.core.text import nearest
from diptych.core.values import Dataset, Split
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.damage import Answered
from diptych.inference.bundle import Bundle

BATCH = 64
TAKEN_FOR_THE_SAME = "its test split is scored, of as many items, taken to be the same ones"
MAYBE_LEARNED = "all items are scored, and some that it has learned may be among them"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Data to be answered, and how to read it."""

    data: str | Path | Dataset
    label: str | None = None
    skip_unreadable: bool = False
    cache: bool = True
    report: Reporter = silent


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a bundle gives for `split`, float32 (N, K); its targets are numbered as the bundle's.

    `items` says which items these are; `own` whether the data is just what the bundle was made of.
    """

    split: Split
    outputs: np.ndarray
    items: str
    own: bool


def answer(model: Bundle, reading: Reading) -> Answers:
    """Let a bundle answer what it may be scored on: what it has not learned, as far as is known.

    Args:
        model: The bundle.
        reading: The data. Where it is what the bundle was made of, its test split is used, also
            where only its name, its seed and the sizes of its splits say so; else its own test
            split, else every item. Where only the name is the same, items that the bundle has
            learned may be among them. The report is told of both doubts.

    Returns:
        The items and the answers.
    """
    data = reading.data
    dataset = data if isinstance(data, Dataset) else _read(model, data, reading)
    split, items = _items(model, dataset, reading.report)
    targets = split.targets
    if model.manifest.goal != "regression":
        targets = _translate(targets, dataset.labels, model.labels)
    return Answers(
        split=replace(split, targets=targets),
        outputs=_run(model, split.inputs, reading.report),
        items=items,
        own=dataset.record.sha256 == model.manifest.provenance.data.sha256,
    )


def pair(reference: Bundle, model: Bundle, answers: Answers, reading: Reading) -> Answered:
    """Let another bundle answer the items that a bundle has answered.

    Args:
        reference: The other one.
        model: The bundle.
        answers: Its answers.
        reading: The data that they are of; the other one reads it in its own way.

    Returns:
        The outputs of both, in the order of the bundle's items and labels.

    Raises:
        ConfigError: If the two do not tell the same things, or hold back different items.
    """
    _check_alike(reference, model)
    theirs, names = answer(reference, reading), answers.split.items
    rows = {name: row for row, name in enumerate(theirs.split.items)}
    same = theirs.items == answers.items and len(theirs.split) == len(names)
    if not (same and rows.keys() >= {*names}):
        raise ConfigError(
            f"{reference.path.name} may be scored on {theirs.items} ({len(theirs.split):,}), "
            f"{model.path.name} on {answers.items} ({len(names):,}), and these differ",
            "give data that neither has learned, or make both with one --seed",
        )
    places = _places(reference.labels)
    order = [places[label] for label in model.labels]
    return Answered(
        goal=model.manifest.goal,
        labels=model.labels,
        names=(reference.path.name, model.path.name),
        items=names,
        targets=answers.split.targets,
        reference=theirs.outputs[[rows[name] for name in names]][:, order],
        model=answers.outputs,
    )


def _check_alike(reference: Bundle, model: Bundle) -> None:
    ours, theirs = model.manifest, reference.manifest
    if ours.goal != theirs.goal:
        raise ConfigError(
            f"{reference.path.name} is for {theirs.goal}, {model.path.name} for {ours.goal}",
            "compare bundles of one goal",
        )
    for name in set(ours.labels) ^ set(theirs.labels):
        raise ConfigError(
            f"only one of {reference.path.name} and {model.path.name} knows {name!r}",
            "compare bundles that tell the same labels",
        )


def _read(model: Bundle, data: str | Path, reading: Reading) -> Dataset:
    manifest = model.manifest
    learned = manifest.provenance.data
    options = Options(
        seed=learned.seed,
        validation_items=learned.validation_items,
        target=reading.label or learned.target,
        target_notation=learned.target_notation,
        goal=manifest.goal,
        order=manifest.labels if manifest.goal == "ordinal" else None,
        spec=manifest.input,
        assets=model.assets(),
        skip_unreadable=reading.skip_unreadable,
        to_score=True,
        task=model.task,
        cache=reading.cache,
    )
    return read(data, options, reading.report)


def _items(model: Bundle, dataset: Dataset, report: Reporter) -> tuple[Split, str]:
    """Choose what may be scored: what the bundle was not trained on, as far as is known."""
    learned, given = model.manifest.provenance.data, dataset.record
    if learned.sha256 == given.sha256 or "test" in given.given_splits:
        return dataset.test, "test split"
    if learned.name == given.name:
        held_back = (learned.seed, learned.counts) == (given.seed, given.counts)
        note = f"{given.name} is not just what {model.path.name} was made of: "
        note += TAKEN_FOR_THE_SAME if held_back else MAYBE_LEARNED
        report(Step(stage="warning", done=1, total=1, note=note))
        if held_back:
            return dataset.test, "test split"
    parts = (dataset.train, dataset.validation, dataset.test)
    joined = Split(
        inputs=arrays.joined([part.inputs for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        items=tuple(item for part in parts for item in part.items),
    )
    return joined, "all items"


def _translate(targets: np.ndarray, theirs: tuple[str, ...], ours: tuple[str, ...]) -> np.ndarray:
    """Number the data's labels as the bundle does."""
    places = _places(ours)
    for name in theirs:
        if name not in places:
            raise DataError(f"the bundle does not know the label {name!r}", nearest(name, ours))
    numbers = np.array([places[name] for name in theirs])
    if targets.ndim == 1:
        found: np.ndarray = numbers[targets]
        return found
    spread = np.zeros((len(targets), len(ours)), dtype=targets.dtype)
    spread[:, numbers] = targets
    return spread


def _places(labels: tuple[str, ...]) -> dict[str, int]:
    return {label: place for place, label in enumerate(labels)}


def _run(model: Bundle, inputs: np.ndarray, report: Reporter) -> np.ndarray:
    parts = []
    for start in range(0, len(inputs), BATCH):
        parts.append(model.run(inputs[start : start + BATCH]))
        report(Step(stage="evaluate", done=start + len(parts[-1]), total=len(inputs)))
    return np.concatenate(parts)
