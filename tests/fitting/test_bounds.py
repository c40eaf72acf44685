import math
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from diptych.core.values import Candidate
from diptych.fitting.bounds import CALLS, seconds_for_bound, with_bounds
from diptych.fitting.budget import Budget
from diptych.measure.quantiles import samples_for_bounds

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


def test_a_bound_takes_its_calls_at_the_pace_of_the_program(make_candidate: MakeCandidate) -> None:
    assert samples_for_bounds(0.99) <= CALLS
    slow = make_candidate("slow", p50=10.0, p99=(12.0, 11.0, math.inf))
    needed_s = seconds_for_bound(slow, Budget.parse("drop<=1%, p99<=20ms"))
    assert CALLS * 10e-3 < needed_s < 1.5 * CALLS * 10e-3
    unverified = replace(slow, unverified="there is no such device")
    for candidate, budget in ((slow, "p99<=10ms"), (slow, "p50<=20ms"), (unverified, "p99<=20ms")):
        assert seconds_for_bound(candidate, Budget.parse(budget)) == 0.0
