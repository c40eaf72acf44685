import math
from collections.abc import Callable

import pytest

from diptych.core.values import Candidate
from diptych.fitting.bounds import with_bounds

MakeCandidate = Callable[..., Candidate]
OPEN = (2.0, 1.8, math.inf)
"""A p99 without an upper bound."""


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        ((2.0, 1.9, 2.4), OPEN, (2.0, 1.9, 2.4)),
        ((2.0, 1.9, 2.4), (2.1, 2.0, 2.2), (2.1, 2.0, 2.2)),
        ((1.0, 0.9, 1.7), OPEN, OPEN),  # it is surely slower now
        (OPEN, (3.0, 1.0, math.inf), (3.0, 1.0, math.inf)),
    ],
)
def test_an_earlier_p99_stays_where_the_last_has_no_upper_bound_and_does_not_exclude_it(
    make_candidate: MakeCandidate,
    before: tuple[float, float, float],
    now: tuple[float, float, float],
    kept: tuple[float, float, float],
) -> None:
    rows = [make_candidate("a", p99=now, p50=1.5), make_candidate("new", p99=OPEN)]
    found = with_bounds(rows, [make_candidate("a", p99=before, p50=1.0)])
    assert [(row.p99_ms.value, row.p99_ms.low, row.p99_ms.high) for row in found] == [kept, OPEN]
    assert [row.p50_ms for row in found] == [row.p50_ms for row in rows]
