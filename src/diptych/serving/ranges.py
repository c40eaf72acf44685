"""Prepared values that a client sends itself: are they ones that preparation could have made?

A token or a category beyond the last one would be looked up outside a network's tables.
Shapes: N batch, L tokens, C columns.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from diptych.core.errors import DataError
from diptych.core.specs import InputSpec, TableSpec, TextSpec
from diptych.tasks.table import check_rows


def check_range(batch: np.ndarray, spec: InputSpec) -> None:
    """Check prepared values; a kind of input without an entry may have any.

    Args:
        batch: (N, ...) of the type and shape that the spec says.
        spec: The model's input.

    Raises:
        DataError: If a token or a category does not exist, or a number is infinite.
    """
    check = RANGES.get(type(spec))
    if check is not None:
        check(batch, spec)


def _check_tokens(tokens: np.ndarray, spec: TextSpec) -> None:
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= spec.vocabulary:
        seen = low if low < 0 else high
        raise DataError(f"token {seen} does not exist", f"use 0 to {spec.vocabulary - 1}")


RANGES: Mapping[type, Callable[[np.ndarray, Any], None]] = {
    TextSpec: _check_tokens,
    TableSpec: check_rows,
}
