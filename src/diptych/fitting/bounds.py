"""Upper bounds of p99: what they take, and kept from a timing of more calls.

Programs that are timed side by side share the time. Each new one leaves less to the others, and
with fewer than 368 calls nothing bounds a p99 from above, so what passed before could not any more,
and a slow program never could.
"""

import math
from collections.abc import Sequence

from msgspec.structs import replace

from diptych.core.values import Candidate
from diptych.fitting.budget import Budget

CALLS = 400
CALLS_IN_ALL = 460
"""With those that are not timed."""


def with_bounds(rows: Sequence[Candidate], earlier: Sequence[Candidate]) -> list[Candidate]:
    """Keep the earlier p99 of programs that were now timed for too few calls to bound it.

    Args:
        rows: As they were timed last.
        earlier: Some of the same, as they were timed before.

    Returns:
        The rows; a p99 without an upper bound is the earlier one, where that has a bound and the
        last timing does not exclude it.
    """
    known = {c.name: c.p99_ms for c in earlier if math.isfinite(c.p99_ms.high)}

    def bounded(row: Candidate) -> Candidate:
        before = known.get(row.name)
        if before is None or math.isfinite(row.p99_ms.high) or row.p99_ms.low > before.high:
            return row
        return replace(row, p99_ms=before)

    return [bounded(row) for row in rows]


def seconds_for_bound(candidate: Candidate, budget: Budget) -> float:
    """Say how long a program has to be timed for an upper bound of its p99.

    Args:
        candidate: As it was timed so far, for however few calls.
        budget: The limits.

    Returns:
        0 where no bound is needed: p99 is not limited, or surely missed, or cannot be known here.
    """
    limit, p99 = budget.limit("p99"), candidate.p99_ms
    if limit is None or candidate.unverified or p99.low > limit:
        return 0.0
    mean_ms = (candidate.p50_ms.value + p99.value) / 2  # or less
    return CALLS_IN_ALL * mean_ms / 1e3
