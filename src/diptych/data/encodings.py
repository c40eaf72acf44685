"""Encodings of labels: class numbers, several labels as 0 and 1, and numbers as they are.

Shapes: N items, K labels.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from diptych.core.errors import ConfigError, DataError
from diptych.core.text import nearest
from diptych.data.limits import MOST_LABELS, check_cells

CLASSES_ARE = "labels are words or numbers"
MOST_LISTED = 20
SEPARATORS = ("|", ";")
MOST_NUMBER = float(np.finfo(np.float32).max)
Columns = Mapping[str, Sequence[object]]
Targets = tuple[tuple[str, ...], dict[str, np.ndarray]]
"""The names, and the targets of each split."""
Items = Mapping[str, Sequence[str]]
"""What people call the items of each split; a split that is not there has rows alone."""
NO_ITEMS: Items = {}


def is_missing(value: object) -> bool:
    """Tell whether a label is not there.

    Args:
        value: As read.

    Returns:
        Whether it is None, NaN or blank; an empty list says that there is no label and is there.
    """
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def finite_number(value: object) -> float | None:
    """Read a label as a number.

    Args:
        value: As read.

    Returns:
        The number, or None where it is none, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def item_of(split: str, row: int, items: Items) -> str:
    """Name an item for people.

    Args:
        split: Its split.
        row: Its place there.
        items: The names that there are.

    Returns:
        Its name, or its row.
    """
    return items[split][row] if split in items else f"row {row} of the {split} split"


def index_classes(
    split: str, column: Sequence[object], classes: tuple[str, ...], items: Items = NO_ITEMS
) -> np.ndarray:
    """Take labels as the numbers of classes whose names are known.

    Args:
        split: The split's name.
        column: Its labels.
        classes: The names.
        items: What its items are called.

    Returns:
        int64 (N,).

    Raises:
        DataError: If one is not a whole number that a class has.
    """
    numbers = [
        _number(value, item_of(split, row, items), classes) for row, value in enumerate(column)
    ]
    return np.array(numbers, dtype=np.int64)


def encode_classes(columns: Columns, order: tuple[str, ...] | None = None) -> Targets:
    """Give every label the number of its class.

    Args:
        columns: The labels of each split.
        order: The names; by default the labels of the training split, sorted (numbers as such).

    Returns:
        The names, and int64 (N,) class numbers.

    Raises:
        ConfigError: If the order has a name twice.
        DataError: If a label is not a word or a number, or not among the names.
    """
    words = {split: [_word(value) for value in column] for split, column in columns.items()}
    names = order or tuple(sorted(set(words["train"]), key=_place))
    numbers = _numbered(names)
    for split, column in words.items():
        _check_known(split, set(column), numbers, "the order" if order else "the train split")
    return names, {
        split: np.array([numbers[word] for word in column], dtype=np.int64)
        for split, column in words.items()
    }


def order_of(column: Sequence[object]) -> tuple[str, ...]:
    """Order classes that are numbers.

    Args:
        column: The labels of the training split.

    Returns:
        Their names from least to most.

    Raises:
        DataError: If some are words, which have no order of their own.
    """
    names = sorted({_word(value) for value in column}, key=_place)
    if words := [name for name in names if finite_number(name) is None]:
        listed = ",".join(names[:MOST_LISTED])
        raise DataError(
            f"the classes have no order of their own: {words[0]!r} is a word",
            f"give it from least to most, such as --order {listed}",
        )
    return tuple(names)


def encode_lists(
    columns: Columns, classes: tuple[str, ...] | None = None, items: Items = NO_ITEMS
) -> Targets:
    """Mark the labels that every item has.

    Args:
        columns: The labels of each split: lists, or words separated by ``|`` or by ``;``.
        classes: The names, where the lists hold numbers that index them.
        items: What the items are called.

    Returns:
        The names (sorted, those of the training split, by default), and float32 (N, K) of 0 and 1.

    Raises:
        DataError: If a label is not in the training split or out of range, or there are too many.
    """
    separator = _separator(columns)
    lists = {
        split: [
            _labels_of(value, separator, classes, item_of(split, row, items))
            for row, value in enumerate(column)
        ]
        for split, column in columns.items()
    }
    names = classes or tuple(sorted({w for words in lists["train"] for w in words}, key=_place))
    numbers = _numbered(names)
    _check_many(lists, names)
    targets = {}
    for split, rows in lists.items():
        _check_known(split, {word for words in rows for word in words}, numbers, "the train split")
        targets[split] = np.zeros((len(rows), len(names)), np.float32)
        for row, words in enumerate(rows):
            targets[split][row, [numbers[word] for word in words]] = 1.0
    return names, targets


def encode_numbers(columns: Columns, items: Items = NO_ITEMS) -> dict[str, np.ndarray]:
    """Take labels as numbers.

    Args:
        columns: The labels of each split: numbers, or words that are.
        items: What the items are called.

    Returns:
        float32 (N,) for each split.

    Raises:
        DataError: If one is not a finite number.
    """
    targets = {}
    for split, column in columns.items():
        values = [finite_number(value) for value in column]
        for row, (value, written) in enumerate(zip(values, column, strict=True)):
            if value is None or abs(value) > MOST_NUMBER:
                raise DataError(
                    f"label {written!r} of {item_of(split, row, items)} is not a finite number",
                    "correct it, or ask for another goal",
                )
        targets[split] = np.array(values, dtype=np.float32)
    return targets


def _numbered(names: tuple[str, ...]) -> dict[str, int]:
    numbers = {name: number for number, name in enumerate(names)}
    if len(numbers) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise ConfigError(f"the classes have {twice!r} twice", "name each of them once")
    return numbers


def _check_many(lists: Mapping[str, Sequence[object]], names: tuple[str, ...]) -> None:
    if len(names) > MOST_LABELS:
        raise DataError(
            f"there are {len(names):,} labels, such as {names[0]!r}, more than {MOST_LABELS:,}",
            "leave the rare ones out",
        )
    for split, rows in lists.items():
        check_cells(f"the labels of the {split} split", len(rows), len(names))


def _check_known(split: str, words: Iterable[str], known: Mapping[str, int], place: str) -> None:
    unknown = sorted(set(words) - set(known), key=_place)
    if not unknown:
        return
    close = nearest(unknown[0], known)
    meant = f"{close}; " if len(known) <= MOST_LISTED or close.startswith("did") else ""
    raise DataError(
        f"class {unknown[0]!r} is in the {split} split but not in {place}",
        f"{meant}add such items to train, or remove them" if "train" in place else close,
    )


def _separator(columns: Columns) -> str:
    words = [value for column in columns.values() for value in column if isinstance(value, str)]
    return next((one for one in SEPARATORS if any(one in word for word in words)), SEPARATORS[0])


def _labels_of(
    value: object, separator: str, classes: tuple[str, ...] | None, item: str
) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(separator) if part.strip()]
    each = value if isinstance(value, list | tuple) else [value]
    if classes is None or any(isinstance(one, str) for one in each):
        return [_word(one) for one in each]
    return [classes[_number(one, item, classes)] for one in each]


def _number(value: object, item: str, classes: tuple[str, ...]) -> int:
    """Take a label of an item as the number of a class."""
    if not isinstance(value, int) or not 0 <= value < len(classes):
        raise DataError(
            f"label {value!r} of {item} is out of range: there are {len(classes)} classes, "
            f"0 to {len(classes) - 1}",
            "correct it; if this split has no labels, take its files away and one is made",
        )
    return value


def _word(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int | str | float) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        seen = value if isinstance(value, float) else f"of type {type(value).__name__}"
        raise DataError(f"a label is {seen}", CLASSES_ARE)
    return str(value).strip()


def _place(word: str) -> tuple[bool, float, str]:
    number = finite_number(word)
    return number is None, number or 0.0, word
