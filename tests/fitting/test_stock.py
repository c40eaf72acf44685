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
    make_candidate: MakeCandidate,
    monkeypatch: pytest.MonkeyPatch,
    budget: str,
    spare_s: float,
    stop: bool,
    seconds: tuple[float, float],
) -> None:
    given: list[dict[str, float]] = []
    monkeypatch.setattr(stock, "gather_evidence", lambda *_, **more: given.append(more))
    session = SimpleNamespace(
        trials=[SimpleNamespace(name="other"), SimpleNamespace(name="slow")],
        job=SimpleNamespace(budget=Budget.parse(budget), dataset=None),
        teacher_outputs={"test": None},
        settings=SimpleNamespace(stop=stop),
        time=SimpleNamespace(spare_s=lambda *, last: spare_s),
    )
    slow = make_candidate("slow", p50=50.0, p99=(60.0, 55.0, math.inf))
    for last in (False, True):
        evidence_of(session, slow, 10.0, last=last)  # type: ignore[arg-type]
    assert [each["calls"] for each in given] == [FEW_CALLS, FINAL_CALLS]
    assert all(seconds[0] <= each["seconds"] <= seconds[1] for each in given)
