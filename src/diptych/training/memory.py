"""A batch that the memory of a device does not hold: it is computed in more parts from then on."""

import math
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from diptych.core.errors import TrainingError
from diptych.core.specs import Value


class Cut(Value):
    """From this step on each batch is computed in so many parts."""

    step: Annotated[int, Meta(ge=0)]
    parts: Annotated[int, Meta(ge=2)]


class NoMemoryError(TrainingError):
    """One process of a team has no memory for its share; all have to begin anew, with a `cut`.

    Args:
        message: What was wrong, with the value seen; one line.
        hint: What to do next; one line.
        cut: With which the share would take at most half of the memory.
    """

    def __init__(self, message: str, hint: str, cut: Cut) -> None:
        super().__init__(message, hint)
        self.cut = cut


def parts_at(step: float, accumulation: int, cuts: Sequence[Cut]) -> int:
    """Say in how many parts the batch of a step is computed.

    Args:
        step: Counts from 0.
        accumulation: In how many at least.
        cuts: Those of the run.

    Returns:
        The number.
    """
    return max([accumulation, *(cut.parts for cut in cuts if cut.step <= step)])


def joined(
    accumulation: int, known: tuple[Cut, ...], others: Sequence[Cut], step: int
) -> tuple[Cut, ...]:
    """Join the cuts of a run with those that it is told of.

    Args:
        accumulation: In how many parts batches are computed at least.
        known: Those of the run so far.
        others: What it is told.
        step: From where it goes on.

    Returns:
        The known ones, and of the others those into more parts, none of them from before `step`.
    """
    most = parts_at(math.inf, accumulation, known)
    more = [cut for cut in others if cut.parts > most]
    return known + tuple(replace(cut, step=max(cut.step, step)) for cut in more)


def more_parts(parts: int, count: int) -> int:
    """Cut equal parts at least in half.

    Args:
        parts: Into so many equal ones the items are cut; fewer than there are items.
        count: How many items.

    Returns:
        The least number of equal parts that is at least twice as many.
    """
    return next(more for more in range(2 * parts, count + 1) if count % more == 0)
