"""From a source as read to a data set: labels numbered, items prepared, splits made, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from diptych.core.errors import DataError
from diptych.core.progress import Reporter
from diptych.core.values import DataRecord, Dataset, Skipped, Split
from diptych.data.checks import check_skipped, check_targets, find_warnings
from diptych.data.fingerprint import sha256_of_splits
from diptych.data.labels import encode
from diptych.data.modalities import MODALITIES
from diptych.data.names import spelled
from diptych.data.own import modality
from diptych.data.raw import SPLITS, RawData, RawSplit
from diptych.data.reading import Learned, Modality, Options
from diptych.data.split import complete


def assemble(raw: RawData, options: Options, report: Reporter) -> tuple[Dataset, tuple[str, ...]]:
    """Make a data set of a source.

    Args:
        raw: The source as read.
        options: How.
        report: Told how far it is.

    Returns:
        The data set, and lines for people about what its items are.

    Raises:
        DataError: If labels, items or classes are not usable.
    """
    raw = _spelled(raw)
    columns = {name: split.labels for name, split in raw.splits.items()}
    items = {name: split.items for name, split in raw.splits.items()}
    told = encode(columns, raw.classes, options.goal, options.order, raw.target or "label", items)
    goal, labels = told.goal, told.labels
    check_targets(goal, labels, told.targets, to_score=options.to_score)
    kind = MODALITIES[raw.kind] if options.task is None else modality(options.task)
    learned = _learn(kind, raw, options, report)
    given, skipped = _decode(kind, raw, told.targets, learned, report)
    num_items, noun = sum(len(s.items) for s in raw.splits.values()), kind.noun
    check_skipped(skipped, num_items, options.skip_unreadable, noun)
    left_out: tuple[str, ...] = ()
    if skipped:
        _check_left(raw, given, skipped)
        left_out = (f"{len(skipped)} of {num_items} {noun} cannot be read and were left out",)
        found = {name: split.targets for name, split in given.items()}
        check_targets(goal, labels, found, to_score=options.to_score)
    splits, method = complete(given, options.seed, goal, options.validation_items)
    record = DataRecord(
        name=raw.name,
        sha256=sha256_of_splits(labels, splits),
        counts={name: len(splits[name]) for name in SPLITS},
        split_method=method,
        seed=options.seed,
        validation_items=None if "validation" in given else options.validation_items,
        skipped=tuple(skipped),
        warnings=(
            *raw.warnings,
            *learned.warnings,
            *left_out,
            *find_warnings(labels, splits, goal),
        ),
        given_splits=tuple(given),
        target=raw.target,
        target_notation=raw.target_notation,
    )
    dataset = Dataset(
        goal=goal,
        spec=learned.spec,
        assets=learned.assets,
        labels=labels,
        record=record,
        own=options.task,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
    )
    why = (f"{goal}, since {told.reason}",) if told.reason else ()
    return dataset, (*why, *learned.facts)


def _spelled(raw: RawData) -> RawData:
    """Spell names of files and folders, of which items and labels are made, as UTF-8 holds them."""
    splits = {
        name: replace(
            split,
            items=[spelled(item) for item in split.items],
            labels=[spelled(label) if isinstance(label, str) else label for label in split.labels],
        )
        for name, split in raw.splits.items()
    }
    warnings = tuple(spelled(warning) for warning in raw.warnings)
    return replace(raw, name=spelled(raw.name), splits=splits, warnings=warnings)


def _check_left(raw: RawData, given: Mapping[str, Split], skipped: Sequence[Skipped]) -> None:
    for name, split in given.items():
        if not len(split):
            items = set(raw.splits[name].items)
            first = next(each for each in skipped if each.item in items)
            raise DataError(
                f"no item of the {name} split can be read: {first.item} {first.reason}",
                "repair them, or remove the split",
            )


def _learn(kind: Modality, raw: RawData, options: Options, report: Reporter) -> Learned:
    if options.spec is None:
        return kind.learn(raw.splits, options, report)
    wanted = type(options.spec).__struct_config__.tag
    if options.task is None and wanted != raw.kind:
        nouns = {str(name): each.noun for name, each in MODALITIES.items()}
        raise DataError(
            f"{raw.name} holds {kind.noun}, and {nouns.get(str(wanted), 'other items')} are what "
            "the model takes",
            "give data of that kind, or another model",
        )
    return Learned(spec=options.spec, assets=options.assets)


def _decode(
    kind: Modality,
    raw: RawData,
    targets: Mapping[str, np.ndarray],
    learned: Learned,
    report: Reporter,
) -> tuple[dict[str, Split], list[Skipped]]:
    splits: dict[str, Split] = {}
    skipped: list[Skipped] = []
    for name, split in raw.splits.items():
        inputs, rows, failed = kind.decode(name, split, learned.spec, learned.assets, report)
        kept = rows.tolist()
        splits[name] = Split(
            inputs=inputs,
            targets=targets[name][rows],
            items=tuple(split.items[row] for row in kept),
            originals=_originals(split, kept) if raw.kind == "text" else None,
        )
        skipped += failed
    return splits, skipped


def _originals(split: RawSplit, rows: Sequence[int]) -> tuple[str, ...] | None:
    contents = split.contents
    if callable(contents) or isinstance(contents, np.ndarray):
        return None
    return tuple(contents[row] for row in rows)
