"""From a source as read to a data set: labels numbered, pictures decoded, splits made, checked."""

from collections.abc import Mapping

import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.progress import Reporter
from diptych.core.specs import InputSpec, Value
from diptych.core.values import DataRecord, Dataset, Skipped, Split
from diptych.data.checks import check_classes, check_skipped, find_warnings
from diptych.data.fingerprint import sha256_of_splits
from diptych.data.labels import encode
from diptych.data.pictures import Survey, choose_spec, decode, survey
from diptych.data.raw import SPLITS, RawData
from diptych.data.split import complete

TASK = "image-classification"
LEAST_SIDE, MOST_SIDE = 4, 1024


class Options(Value, frozen=True, kw_only=True):
    """How to read labelled data.

    `spec` is what to prepare items for, if that is known, as from a bundle; else it is inferred,
    with `image_size` as the side in pixels, from 4 to 1,024, if given.
    """

    seed: int = 0
    target: str | None = None
    image_size: int | None = None
    spec: InputSpec | None = None
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        """Check the range of the size.

        Raises:
            ConfigError: If `image_size` is out of range.
        """
        if self.image_size is not None and not LEAST_SIDE <= self.image_size <= MOST_SIDE:
            raise ConfigError(
                f"image size {self.image_size} is out of range",
                f"choose {LEAST_SIDE} to {MOST_SIDE} pixels",
            )


def assemble(raw: RawData, options: Options, report: Reporter) -> tuple[Dataset, Survey]:
    """Make a data set of a source.

    Args:
        raw: The source as read.
        options: How.
        report: Told how far it is.

    Returns:
        The data set, and what pictures were seen.

    Raises:
        DataError: If labels, pictures or classes are not usable.
    """
    labels, targets = encode({name: raw.splits[name].labels for name in raw.splits}, raw.classes)
    check_classes(labels, targets)
    seen = survey(raw.splits, report)
    spec = options.spec or choose_spec(seen, options.image_size)
    given, skipped = _decode(raw, targets, spec, report)
    num_items = sum(len(split.items) for split in raw.splits.values())
    check_skipped(skipped, num_items, options.skip_unreadable)
    left_out: tuple[str, ...] = ()
    if skipped:
        left_out = (f"{len(skipped)} of {num_items} pictures cannot be read and were left out",)
        check_classes(labels, {name: split.targets for name, split in given.items()})
    splits, method = complete(given, options.seed)
    record = DataRecord(
        name=raw.name,
        sha256=sha256_of_splits(labels, splits),
        counts={name: len(splits[name]) for name in SPLITS},
        split_method=method,
        seed=options.seed,
        skipped=tuple(skipped),
        warnings=(*raw.warnings, *left_out, *find_warnings(labels, splits)),
        given_splits=tuple(given),
    )
    return Dataset(task=TASK, spec=spec, labels=labels, record=record, **splits), seen


def _decode(
    raw: RawData, targets: Mapping[str, np.ndarray], spec: InputSpec, report: Reporter
) -> tuple[dict[str, Split], list[Skipped]]:
    splits: dict[str, Split] = {}
    skipped: list[Skipped] = []
    for name, split in raw.splits.items():
        inputs, rows, failed = decode(name, split, spec, report)
        items = tuple(split.items[row] for row in rows.tolist())
        splits[name] = Split(inputs=inputs, targets=targets[name][rows], items=items)
        skipped += failed
    return splits, skipped
