import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from diptych.core.values import Candidate
from diptych.fitting import stock
from diptych.fitting.bounds import CALLS
from diptych.fitting.budget import Budget
from diptych.fitting.stock import FEW_CALLS, FINAL_CALLS, evidence_of

MakeCandidate = Callable[..., Candidate]


@pytest.fixture
def seconds_of(
    make_candidate: MakeCandidate, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[float]]:
    """How long a slow choice is timed that was given so many seconds, before the end and at it."""

    def measure(budget: str, spare_s: float, seconds: float, *, stop: bool = False) -> list[float]:
        given: list[dict[str, float]] = []
        monkeypatch.setattr(stock, "gather_evidence", lambda *_, **more: given.append(more))
        session = SimpleNamespace(
            trials=[SimpleNamespace(name="other"), SimpleNamespace(name="slow")],
            job=SimpleNamespace(budget=Budget.parse(budget), dataset=None),
            teacher_outputs={"test": None},
            settings=SimpleNamespace(stop=stop),
            time=SimpleNamespace(spare_s=lambda *, last: spare_s, final_timing_s=10.0),
        )
        slow = make_candidate("slow", p50=50.0, p99=(60.0, 55.0, math.inf))
        for last in (False, True):
            evidence_of(session, slow, seconds, last=last)  # type: ignore[arg-type]
        assert [each["calls"] for each in given] == [FEW_CALLS, FINAL_CALLS]
        return [each["seconds"] for each in given]

    return measure


@pytest.mark.parametrize(
    ("budget", "spare_s", "stop", "seconds"),
    [
        ("p99<=80ms", math.inf, False, (CALLS * 55e-3, CALLS * 66e-3)),
        ("p99<=80ms", 12.0, False, (12.0, 12.0)),
        ("p99<=80ms", math.inf, True, (10.0, 10.0)),
        ("p99<=20ms", math.inf, False, (10.0, 10.0)),  # it fails anyway
        ("drop<=1%", math.inf, False, (10.0, 10.0)),
    ],
)
def test_a_slow_choice_is_timed_for_as_many_calls_as_its_p99_takes(
    seconds_of: Callable[..., list[float]],
    budget: str,
    spare_s: float,
    stop: bool,
    seconds: tuple[float, float],
) -> None:
    given = seconds_of(budget, spare_s, 10.0, stop=stop)
    assert all(seconds[0] <= each <= seconds[1] for each in given)


@pytest.mark.parametrize(("spare_s", "last"), [(40.0, 30.0), (20.0, 20.0), (0.0, 10.0)])
def test_at_the_end_a_choice_is_timed_no_longer_than_is_left(
    seconds_of: Callable[..., list[float]], spare_s: float, last: float
) -> None:
    assert seconds_of("drop<=1%", spare_s, 30.0) == [30.0, last]
