"""Checks: what makes data unusable is an error; what makes it doubtful is a warning."""

from collections.abc import Mapping, Sequence

import numpy as np

from diptych.core import arrays
from diptych.core.errors import DataError
from diptych.core.values import Goal, Skipped, Split
from diptych.data.fingerprint import count_shared
from diptych.data.raw import SPLITS

NAMED_ITEMS = 3
FEW_ITEMS = 10
LARGE_IMBALANCE = 20
LEAST_NUMBERS = 10
FAR_OUT = 20.0
NOTHING = "there is nothing to tell: some items must have a label, some not"


def check_targets(
    goal: Goal,
    labels: Sequence[str],
    targets: Mapping[str, np.ndarray],
    *,
    to_score: bool = False,
) -> None:
    """Check that there is something to tell, and enough of it to split.

    Args:
        goal: What is told.
        labels: The names.
        targets: Those of each split that the source has.
        to_score: Whether nothing is learned of them.

    Raises:
        DataError: If a split is empty or no item has a label; unless they are scored only, also if
            all targets of one are equal (a number) or all are of one class, or there are fewer
            items, of any class, than splits to be made of them.
    """
    for split, each in targets.items():
        if not len(each):
            raise DataError(f"the {split} split holds no items", "add some, or remove the split")
    if goal == "multi-label" and not labels:
        raise DataError("no item has a label", NOTHING)
    if to_score:
        return
    parts = 1 + sum(split not in targets for split in SPLITS)
    if goal == "regression":
        _check_numbers(labels[0], targets)
    elif goal == "multi-label":
        _check_labels(labels, targets["train"])
    else:
        _check_classes(labels, targets["train"], parts)


def _check_classes(labels: Sequence[str], targets: np.ndarray, parts: int) -> None:
    counts = np.bincount(targets, minlength=len(labels)).tolist()
    present = [name for name, count in zip(labels, counts, strict=True) if count]
    if len(present) < 2:
        raise DataError(
            f"there is one class only, {present[0]!r}", "classification needs two or more"
        )
    few = [(count, name) for name, count in zip(labels, counts, strict=True) if 0 < count < parts]
    if few:
        count, name = min(few)
        others = f" (classes like that: {len(few)})" if len(few) > 1 else ""
        raise DataError(
            f"class {name!r} has {count} item{'s' * (count > 1)}{others}: too few to split in "
            f"{parts}",
            f"give each class {parts} items or more, or remove it",
        )


def _check_labels(labels: Sequence[str], targets: np.ndarray) -> None:
    if len(targets) < LEAST_NUMBERS:
        raise DataError(
            f"the train split has {len(targets)} items", f"give {LEAST_NUMBERS} or more"
        )
    counts = np.count_nonzero(targets, axis=0)
    if not ((counts > 0) & (counts < len(targets))).any():
        raise DataError(f"every item has the labels {', '.join(labels)}", NOTHING)


def _check_numbers(name: str, targets: Mapping[str, np.ndarray]) -> None:
    for split, numbers in targets.items():
        if len(numbers) > 1 and not np.ptp(numbers):
            raise DataError(
                f"the target {name!r} is {numbers[0]:g} for every item of the {split} split",
                "there is nothing to tell: choose another target",
            )
    if len(targets["train"]) < LEAST_NUMBERS:
        count = len(targets["train"])
        raise DataError(f"the train split has {count} items", f"give {LEAST_NUMBERS} or more")


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


def find_warnings(
    labels: Sequence[str], splits: Mapping[str, Split], goal: Goal = "classification"
) -> list[str]:
    """Look for what makes results doubtful.

    Args:
        labels: The names of what is told.
        splits: The three splits, prepared.
        goal: What the targets are.

    Returns:
        Warnings, one line each: few items, imbalance, absent classes or labels, numbers far out,
        items of one value all over, items in two splits.
    """
    if goal == "regression":
        warnings = _doubtful_numbers(labels[0], splits)
    else:
        counts = {name: _count(splits[name].targets, len(labels)) for name in SPLITS}
        warnings = _doubtful_classes(labels, counts, "label" if goal == "multi-label" else "class")
        warnings += _doubtful_names(labels)
    ordered = {name: splits[name] for name in SPLITS}
    for name, split in ordered.items():
        if blank := _count_blank(split.inputs):
            warnings.append(f"{blank:,} of {len(split):,} {name} items are blank or silent")
    for (earlier, later), count in count_shared(ordered).items():
        warnings.append(f"{count:,} of {len(splits[later]):,} {later} items are also in {earlier}")
    return warnings


def _count_blank(inputs: np.ndarray) -> int:
    """Count items (N, ...) of whole numbers that are the same number all over."""
    if inputs.dtype.kind == "f" or inputs.ndim < 2 or not inputs.size:
        return 0
    axes = tuple(range(1, inputs.ndim))
    return sum(int((part.min(axes) == part.max(axes)).sum()) for part in arrays.parts(inputs))


def _count(targets: np.ndarray, num_labels: int) -> np.ndarray:
    if targets.ndim == 2:
        return np.asarray(np.count_nonzero(targets, axis=0))
    return np.bincount(targets, minlength=num_labels)


def _doubtful_classes(
    labels: Sequence[str], counts: Mapping[str, np.ndarray], noun: str
) -> list[str]:
    train, plural = counts["train"], "classes" if noun == "class" else "labels"
    rare, frequent = int(train.argmin()), int(train.argmax())
    warnings = []
    if train[rare] < FEW_ITEMS:
        warnings.append(f"{noun} {labels[rare]!r} has {train[rare]} training items")
    if train[frequent] > LARGE_IMBALANCE * max(train[rare], 1):
        warnings.append(
            f"{plural} are unequal: {labels[frequent]!r} has {train[frequent]:,} training items, "
            f"{labels[rare]!r} {train[rare]:,}"
        )
    for name in SPLITS[1:]:
        absent = np.flatnonzero(counts[name] == 0).tolist()
        if absent:
            some = ", ".join(repr(labels[number]) for number in absent[:NAMED_ITEMS])
            warnings.append(f"{plural} absent from {name}: {len(absent)} ({some})")
    return warnings


def _doubtful_names(labels: Sequence[str]) -> list[str]:
    """Return what is odd about names: two that are nearly one word, or several in one."""
    warnings = []
    seen: dict[str, str] = {}
    for label in labels:
        other = seen.setdefault(" ".join(label.split()).casefold(), label)
        if other != label:
            warnings.append(f"{other!r} and {label!r} differ in capitals or blanks only")
    if joined := next((label for label in labels if "|" in label), None):
        warnings.append(f"{joined!r} is one label; with --task multi-label, each part is one")
    return warnings[:NAMED_ITEMS]


def _doubtful_numbers(name: str, splits: Mapping[str, Split]) -> list[str]:
    """Return what is odd about numbers: one value most of the time, or a few that are far out."""
    train = splits["train"].targets.astype(np.float64)
    values, counts = np.unique(train, return_counts=True)
    warnings = []
    if counts.max() > len(train) / 2:
        share = 100 * counts.max() / len(train)
        warnings.append(f"{name!r} is {values[counts.argmax()]:g} for {share:.0f} % of the items")
    low, middle, high = np.quantile(train, [0.25, 0.5, 0.75])
    far = np.abs(train - middle) > FAR_OUT * (high - low)
    if high > low and far.any():
        worst = train[np.abs(train - middle).argmax()]
        warnings.append(
            f"{name!r} is far out for {np.count_nonzero(far):,} training items, such as {worst:g} "
            f"where half are from {low:g} to {high:g}"
        )
    return warnings
