"""Labels: from what a source has written (numbers, words, nothing) to class numbers and names."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from diptych.core.errors import DataError

CLASSES_ARE = "labels are words or whole numbers"
Columns = Mapping[str, Sequence[object]]


def encode(
    columns: Columns, classes: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Give every label a class number.

    Args:
        columns: The labels of each split; ``train`` must be there.
        classes: The names, where the labels are numbers that index them.

    Returns:
        The names, and int64 (N,) class numbers per split. Without `classes` the names are the
        labels of the training split, sorted (as numbers where all of them are).

    Raises:
        DataError: If a label is missing, NaN, out of range, a measurement and not a class, or not
            in the training split.
    """
    for split, column in columns.items():
        _check_present(split, column)
    if classes is not None:
        return classes, {split: _index(split, column, classes) for split, column in columns.items()}
    words = {split: [_word(value) for value in column] for split, column in columns.items()}
    names = tuple(sorted(set(words["train"]), key=_order))
    numbers = {name: number for number, name in enumerate(names)}
    for split, column in words.items():
        if unknown := sorted(set(column) - set(names), key=_order):
            raise DataError(
                f"class {unknown[0]!r} is in the {split} split but not in the train split",
                "add such items to train, or remove them",
            )
    return names, {
        split: np.array([numbers[word] for word in column], dtype=np.int64)
        for split, column in words.items()
    }


def _check_present(split: str, column: Sequence[object]) -> None:
    missing = [row for row, value in enumerate(column) if _is_missing(value)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(column)} labels are missing in the {split} split, "
            f"the first in row {missing[0]}",
            "fill them in, or remove these rows",
        )


def _is_missing(value: object) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def _index(split: str, column: Sequence[object], classes: tuple[str, ...]) -> np.ndarray:
    for row, value in enumerate(column):
        if not isinstance(value, int) or not 0 <= value < len(classes):
            raise DataError(
                f"label {value!r} in row {row} of the {split} split is out of range: there are "
                f"{len(classes)} classes, 0 to {len(classes) - 1}",
                "correct it; if this split has no labels, take its files away and one is made",
            )
    return np.array(column, dtype=np.int64)


def _word(value: object) -> str:
    if isinstance(value, float):
        if not value.is_integer():
            raise DataError(
                f"label {value!r} is a measurement, not a class",
                CLASSES_ARE,
            )
        value = int(value)
    if not isinstance(value, int | str):
        raise DataError(f"a label is of type {type(value).__name__}", CLASSES_ARE)
    return str(value).strip()


def _order(word: str) -> tuple[bool, int, str]:
    is_number = word.removeprefix("-").isdecimal()
    return not is_number, int(word) if is_number else 0, word
