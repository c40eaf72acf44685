"""Checks: what makes data unusable is an error; what makes it doubtful is a warning."""

from collections.abc import Mapping, Sequence

import numpy as np

from diptych.core.errors import DataError
from diptych.core.values import Skipped, Split
from diptych.data.fingerprint import count_shared
from diptych.data.raw import SPLITS

NAMED_ITEMS = 3
FEW_ITEMS = 10
LARGE_IMBALANCE = 20


def check_classes(labels: Sequence[str], targets: Mapping[str, np.ndarray]) -> None:
    """Check that there is something to tell apart, and enough of it to split.

    Args:
        labels: The names of the classes.
        targets: (N,) class numbers of each split that the source has.

    Raises:
        DataError: If a split is empty, there is one class only, or a class has fewer items in
            train than there are splits to be made of it.
    """
    for split, numbers in targets.items():
        if not len(numbers):
            raise DataError(f"the {split} split holds no items", "add some, or remove the split")
    counts = np.bincount(targets["train"], minlength=len(labels)).tolist()
    present = [name for name, count in zip(labels, counts, strict=True) if count]
    if len(present) < 2:
        raise DataError(
            f"there is one class only, {present[0]!r}", "classification needs two or more"
        )
    parts = 1 + sum(split not in targets for split in SPLITS)
    few = [(count, name) for name, count in zip(labels, counts, strict=True) if 0 < count < parts]
    if few:
        count, name = min(few)
        others = f" (classes like that: {len(few)})" if len(few) > 1 else ""
        raise DataError(
            f"class {name!r} has {count} item{'s' * (count > 1)}{others}: too few to split in "
            f"{parts}",
            f"give each class {parts} items or more, or remove it",
        )


def check_skipped(skipped: Sequence[Skipped], num_items: int, accepted: bool, noun: str) -> None:
    """Check that every item was read, or that it is accepted that some were not.

    Args:
        skipped: Those that could not be read.
        num_items: How many there were.
        accepted: Whether to go on without them.
        noun: What items are called, such as ``pictures``.

    Raises:
        DataError: If some were not read and that is not accepted, or none was.
    """
    if not skipped or (accepted and len(skipped) < num_items):
        return
    named = "; ".join(f"{each.item} {each.reason}" for each in skipped[:NAMED_ITEMS])
    more = f"; and {len(skipped) - NAMED_ITEMS} more" if len(skipped) > NAMED_ITEMS else ""
    raise DataError(
        f"{len(skipped)} of {num_items} {noun} cannot be read ({named}{more})",
        "repair or remove them" + ("" if accepted else ", or go on with --skip-unreadable"),
    )


def find_warnings(labels: Sequence[str], splits: Mapping[str, Split]) -> list[str]:
    """Look for what makes results doubtful.

    Args:
        labels: The names of the classes.
        splits: The three splits, prepared.

    Returns:
        Warnings, one line each: few items, imbalance, absent classes, items in two splits.
    """
    counts = np.bincount(splits["train"].targets, minlength=len(labels))
    rare, frequent = int(counts.argmin()), int(counts.argmax())
    warnings = []
    if counts[rare] < FEW_ITEMS:
        warnings.append(f"class {labels[rare]!r} has {counts[rare]} training items")
    if counts[frequent] > LARGE_IMBALANCE * max(counts[rare], 1):
        warnings.append(
            f"classes are unequal: {labels[frequent]!r} has {counts[frequent]:,} training items, "
            f"{labels[rare]!r} {counts[rare]:,}"
        )
    for name in SPLITS[1:]:
        absent = sorted(set(range(len(labels))) - set(splits[name].targets.tolist()))
        if absent:
            some = ", ".join(repr(labels[number]) for number in absent[:NAMED_ITEMS])
            warnings.append(f"classes absent from {name}: {len(absent)} ({some})")
    ordered = {name: splits[name] for name in SPLITS}
    for (earlier, later), count in count_shared(ordered).items():
        warnings.append(f"{count:,} of {len(splits[later]):,} {later} items are also in {earlier}")
    return warnings
