"""Upper bounds of p99, kept from a timing of more calls.

Programs that are timed side by side share the time. Each new one leaves less to the others, and
with fewer than 368 calls nothing bounds a p99 from above, so what passed before could not any more.
"""

import math
from collections.abc import Sequence

from msgspec.structs import replace

from diptych.core.values import Candidate


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
