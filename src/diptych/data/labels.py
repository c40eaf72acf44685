"""Labels: from what a source has written to a goal, the names of what is told, and targets.

Numbers, words, lists and blanks come as the reader found them; what is asked for explicitly wins
over what they look like.

Shapes: N items, K labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diptych.core.errors import ConfigError, DataError
from diptych.core.values import Goal
from diptych.data.encodings import (
    MOST_NUMBER,
    NO_ITEMS,
    Items,
    encode_classes,
    encode_lists,
    encode_numbers,
    finite_number,
    index_classes,
    is_missing,
    item_of,
    order_of,
)

MOST_NUMBERED_CLASSES = 20
MOST_CLASSES_SHARE = 0.1
NUMBERS_SHARE = 0.9
LEAST_CLASS_DENSITY = 0.1
CLASS_NUMBERS_FROM = (0, 1)
Columns = Mapping[str, Sequence[object]]


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Labels, encoded: what is told, the names, and the targets of each split.

    `targets` are int64 (N,) class numbers, float32 (N, K) of 0 and 1 for several labels, or
    float32 (N,) numbers, of which the one label is the column's name. `reason` says in words what
    the goal was inferred from, where that could be doubted.
    """

    goal: Goal
    labels: tuple[str, ...]
    targets: dict[str, np.ndarray]
    reason: str


def encode(
    columns: Columns,
    classes: tuple[str, ...] | None = None,
    goal: Goal | None = None,
    order: tuple[str, ...] | None = None,
    target: str = "label",
    items: Items = NO_ITEMS,
) -> Encoded:
    """Encode the labels of every split.

    Args:
        columns: The labels as written, for each split; ``train`` must be there.
        classes: The names, where the labels are numbers that index them.
        goal: What shall be told; inferred from the training split by default.
        order: The classes from least to most, for an ordinal goal, which it implies.
        target: The name of the labels' column.
        items: What the items of each split are called.

    Returns:
        The goal, the names and the targets. Where several labels are asked for, blank text, or
        nothing between words, is an item without any.

    Raises:
        ConfigError: If there is an order for a goal that has none.
        DataError: If a label is missing, not what the goal needs, or not in the training split.
    """
    if order and goal not in {None, "ordinal"}:
        raise ConfigError(f"a goal of {goal} has no order", "leave --order out, or ask for ordinal")
    if goal == "multi-label":
        columns = {split: _with_blanks(column) for split, column in columns.items()}
    for split, column in columns.items():
        _check_present(split, column, items, blank_is_none=goal == "multi-label")
    found, reason = _goal_of(columns["train"], classes, goal, order)
    encoders: dict[Goal, Callable[[], tuple[tuple[str, ...], dict[str, np.ndarray]]]] = {
        "classification": lambda: _classes(columns, classes, items),
        "multi-label": lambda: encode_lists(columns, classes, items),
        "ordinal": lambda: _ordered(columns, classes, order, items),
        "regression": lambda: ((target,), encode_numbers(columns, items)),
    }
    labels, targets = encoders[found]()
    return Encoded(goal=found, labels=labels, targets=targets, reason=reason)


def infer_goal(column: Sequence[object], has_classes: bool) -> tuple[Goal, str]:
    """Infer what shall be told from how labels are written.

    Args:
        column: The labels of the training split, none missing.
        has_classes: Whether the source names classes that numbers stand for.

    Returns:
        Several labels where there are lists; numbers where some are not whole, or where there are
        more than 20 that are no class numbers: too many (over a tenth of the items), too far apart
        (under a tenth of their range), or not counted from 0 or 1; numbers also where a tenth of
        them at most is no number, so that these are told; else classes. And why, in words, where
        it could be doubted.
    """
    if any(isinstance(value, list | tuple) for value in column):
        return "multi-label", "labels are lists"
    if not has_classes and _are_nearly_numbers(column):
        return "regression", "nearly all labels are numbers that are not whole"
    numbers = [v for v in column if isinstance(v, int | float) and not isinstance(v, bool)]
    if has_classes or not column or len(numbers) < len(column):
        return "classification", ""
    if any(isinstance(value, float) and not value.is_integer() for value in numbers):
        return "regression", "labels are numbers that are not whole"
    distinct = set(numbers)
    if len(distinct) <= MOST_NUMBERED_CLASSES:
        return "classification", ""
    least, most = int(min(distinct)), int(max(distinct))
    seen = f"labels are {len(distinct):,} whole numbers from {least:,} to {most:,}"
    crowded = len(distinct) > MOST_CLASSES_SHARE * len(numbers)
    apart = len(distinct) < LEAST_CLASS_DENSITY * (most - least + 1)
    numbered = least in CLASS_NUMBERS_FROM
    return "regression" if crowded or apart or not numbered else "classification", seen


def _are_nearly_numbers(column: Sequence[object]) -> bool:
    """Tell words of which nearly all are different numbers: what is not is a mistake."""
    if not all(isinstance(value, str) for value in column):
        return False
    numbers = [finite_number(value) for value in column]
    found = [each for each in numbers if each is not None and abs(each) <= MOST_NUMBER]
    measured = any(not number.is_integer() for number in found)
    many = len(set(found)) > MOST_NUMBERED_CLASSES
    return measured and many and NUMBERS_SHARE * len(column) <= len(found) < len(column)


def _with_blanks(column: Sequence[object]) -> Sequence[object]:
    """Write a missing cell between words as a blank: an item without labels."""
    if not any(isinstance(value, str) for value in column):
        return column
    return ["" if value is None else value for value in column]


def _goal_of(
    column: Sequence[object],
    classes: tuple[str, ...] | None,
    goal: Goal | None,
    order: tuple[str, ...] | None,
) -> tuple[Goal, str]:
    if goal is not None:
        return goal, ""
    if order:
        return "ordinal", ""
    return infer_goal(column, classes is not None)


def _classes(
    columns: Columns, classes: tuple[str, ...] | None, items: Items
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    if classes is not None:
        return classes, _indexed(columns, classes, items)
    return encode_classes(columns)


def _indexed(columns: Columns, classes: tuple[str, ...], items: Items) -> dict[str, np.ndarray]:
    return {split: index_classes(split, c, classes, items) for split, c in columns.items()}


def _ordered(
    columns: Columns,
    classes: tuple[str, ...] | None,
    order: tuple[str, ...] | None,
    items: Items,
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    if classes is not None and order is None:
        return _classes(columns, classes, items)
    if classes is not None:
        numbers = _indexed(columns, classes, items)
        columns = {split: [classes[n] for n in column] for split, column in numbers.items()}
    return encode_classes(columns, order or order_of(columns["train"]))


def _check_present(
    split: str, column: Sequence[object], items: Items, *, blank_is_none: bool
) -> None:
    missing = [row for row, value in enumerate(column) if is_missing(value)]
    if blank_is_none:
        missing = [row for row in missing if not isinstance(column[row], str)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(column)} labels are missing in the {split} split, "
            f"the first is that of {item_of(split, missing[0], items)}",
            f"fill them in, or remove these rows{_or_several(column)}",
        )


def _or_several(column: Sequence[object]) -> str:
    words = any(isinstance(value, str) for value in column)
    return (
        "; where an item may have several labels or none, say --task multi-label" if words else ""
    )
