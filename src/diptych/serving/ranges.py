"""Prepared values that a client sends itself: are they ones that preparation could have made?

A token or a category beyond the last one would be looked up outside a network's tables.
Shapes: N batch, L tokens, C columns.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from diptych.core.errors import DataError
from diptych.core.specs import CategoryColumn, InputSpec, TableSpec, TextSpec


def check_range(batch: np.ndarray, spec: InputSpec) -> None:
    """Check prepared values; a kind of input without an entry may have any.

    Args:
        batch: (N, ...) of the type and shape that the spec says.
        spec: The model's input.

    Raises:
        DataError: If a token or a category does not exist.
    """
    check = RANGES.get(type(spec))
    if check is not None:
        check(batch, spec)


def _check_tokens(tokens: np.ndarray, spec: TextSpec) -> None:
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= spec.vocabulary:
        seen = low if low < 0 else high
        raise DataError(f"token {seen} does not exist", f"use 0 to {spec.vocabulary - 1}")


def _check_columns(rows: np.ndarray, spec: TableSpec) -> None:
    for place, column in enumerate(spec.columns):
        if isinstance(column, CategoryColumn):
            _check_category(rows[:, place], column)


def _check_category(values: np.ndarray, column: CategoryColumn) -> None:
    most = len(column.values)
    wrong = values[~((values >= 0) & (values <= most) & (values == np.floor(values)))]
    if len(wrong):
        raise DataError(
            f"column {column.name!r}: there is no category {wrong[0]:g}",
            f"use a whole number, 1 to {most}, or 0 for a missing one",
        )


RANGES: Mapping[type, Callable[[np.ndarray, Any], None]] = {
    TextSpec: _check_tokens,
    TableSpec: _check_columns,
}
