"""Students' shapes by name: in the order of what they cost, and those that a size limit allows."""

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from diptych.fitting.budget import Budget

Shape = TypeVar("Shape")


def costliest_first(
    shapes: Mapping[str, Shape], cost: Callable[[Shape], float]
) -> dict[str, Shape]:
    """Order shapes by what they cost.

    Args:
        shapes: By name.
        cost: Of one.

    Returns:
        The same.
    """
    costs = {name: cost(shape) for name, shape in shapes.items()}
    return {name: shapes[name] for name in sorted(shapes, key=costs.__getitem__, reverse=True)}


def within_size(
    shapes: Mapping[str, Shape], size_of: Callable[[Shape], float], budget: Budget
) -> dict[str, Shape]:
    """Leave those that a budget's limit of size allows.

    Args:
        shapes: By name, at least one.
        size_of: What one is estimated to take, in bytes.
        budget: The limits.

    Returns:
        Them in their order; the smallest if there are none.
    """
    limit = budget.limit("size") or math.inf
    sizes = {name: size_of(shape) for name, shape in shapes.items()}
    smallest = min(sizes, key=sizes.__getitem__)
    allowed = {name: shape for name, shape in shapes.items() if sizes[name] <= limit}
    return allowed or {smallest: shapes[smallest]}
