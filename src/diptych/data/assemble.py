"""From a source as read to a data set: labels numbered, items prepared, splits made, checked."""

from collections.abc import Mapping

import numpy as np

from diptych.core.progress import Reporter
from diptych.core.values import DataRecord, Dataset, Skipped, Split
from diptych.data.checks import check_classes, check_skipped, find_warnings
from diptych.data.fingerprint import sha256_of_splits
from diptych.data.labels import encode
from diptych.data.modalities import MODALITIES
from diptych.data.raw import SPLITS, RawData
from diptych.data.reading import Learned, Options
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
    labels, targets = encode({name: raw.splits[name].labels for name in raw.splits}, raw.classes)
    check_classes(labels, targets)
    learned = _learn(raw, options, report)
    given, skipped = _decode(raw, targets, learned, report)
    num_items, noun = sum(len(s.items) for s in raw.splits.values()), MODALITIES[raw.kind].noun
    check_skipped(skipped, num_items, options.skip_unreadable, noun)
    left_out: tuple[str, ...] = ()
    if skipped:
        left_out = (f"{len(skipped)} of {num_items} {noun} cannot be read and were left out",)
        check_classes(labels, {name: split.targets for name, split in given.items()})
    splits, method = complete(given, options.seed)
    record = DataRecord(
        name=raw.name,
        sha256=sha256_of_splits(labels, splits),
        counts={name: len(splits[name]) for name in SPLITS},
        split_method=method,
        seed=options.seed,
        skipped=tuple(skipped),
        warnings=(
            *raw.warnings,
            *learned.warnings,
            *left_out,
            *find_warnings(labels, splits),
        ),
        given_splits=tuple(given),
    )
    dataset = Dataset(
        goal="classification",
        spec=learned.spec,
        assets=learned.assets,
        labels=labels,
        record=record,
        **splits,
    )
    return dataset, learned.facts


def _learn(raw: RawData, options: Options, report: Reporter) -> Learned:
    if options.spec is not None:
        return Learned(spec=options.spec, assets=options.assets)
    return MODALITIES[raw.kind].learn(raw.splits, options, report)


def _decode(
    raw: RawData, targets: Mapping[str, np.ndarray], learned: Learned, report: Reporter
) -> tuple[dict[str, Split], list[Skipped]]:
    splits: dict[str, Split] = {}
    skipped: list[Skipped] = []
    decode = MODALITIES[raw.kind].decode
    for name, split in raw.splits.items():
        inputs, rows, failed = decode(name, split, learned.spec, learned.assets, report)
        items = tuple(split.items[row] for row in rows.tolist())
        splits[name] = Split(inputs=inputs, targets=targets[name][rows], items=items)
        skipped += failed
    return splits, skipped
