import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

from diptych.core.values import Candidate, Dataset
from diptych.fitting import comparison
from diptych.fitting.allowance import Allowance
from diptych.fitting.bounds import CALLS
from diptych.fitting.budget import Budget
from diptych.fitting.comparison import Span, compare
from diptych.measure.quantiles import quantile
from diptych.measure.timing import Timing

MakeCandidate = Callable[..., Candidate]
MakeDataset = Callable[..., Dataset]
BUDGET = "drop<=5%, p99<=20ms"


class Bench:
    """Programs that take so many milliseconds, each time, and share the time alike."""

    def __init__(self, make_candidate: MakeCandidate, dataset: Dataset, **ms: float) -> None:
        self.make_candidate, self.dataset, self.ms = make_candidate, dataset, ms
        self.asked: list[tuple[list[str], float, int]] = []
        self.drops: dict[str, float] = {}
        self.varies = False

    def time_trials(
        self,
        trials: Sequence[SimpleNamespace],
        inputs: np.ndarray,
        *,
        time_limit_s: float,
        calls: int = 1000,
        **_more: object,
    ) -> dict[str, Timing]:
        names = [trial.name for trial in trials]
        self.asked.append((names, time_limit_s, calls))
        share_ms = 1e3 * time_limit_s / len(names)
        counts = {name: min(calls, int(share_ms / self.ms[name])) for name in names}
        return {
            name: Timing(
                latencies_ms=np.full(counts[name], self.ms[name]),
                cpu_seconds_per_call=self.ms[name] / 1e3 * len(self.asked),
            )
            for name in names
        }

    def as_candidate(self, trial: SimpleNamespace, timing: Timing, *_: object) -> Candidate:
        row = self.make_candidate(trial.name, drop=self.drops.get(trial.name, 0.0))
        return replace(
            row,
            p50_ms=quantile(timing.latencies_ms, 0.5),
            p99_ms=quantile(timing.latencies_ms, 0.99),
            cost_usd_per_million=timing.cpu_seconds_per_call,
        )

    def compare(
        self,
        seconds: float,
        spare_s: float | Callable[[], float] = math.inf,
        budget: str = BUDGET,
        earlier: Sequence[Candidate] = (),
    ) -> dict[str, Candidate]:
        trials = [SimpleNamespace(name=name, varies=self.varies) for name in self.ms]
        allowance = Allowance(
            budget=Budget.parse(budget), dataset=self.dataset, teacher_outputs=np.empty(0)
        )
        spare = spare_s if callable(spare_s) else lambda: spare_s
        span = Span(seconds=seconds, spare_s=spare)
        rows = compare(trials, allowance, earlier, span)  # type: ignore[arg-type]
        return {row.name: row for row in rows}


@pytest.fixture
def bench(
    make_candidate: MakeCandidate, make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Bench]:
    def make(**ms: float) -> Bench:
        made = Bench(make_candidate, make_dataset(), **ms)
        monkeypatch.setattr(comparison, "time_trials", made.time_trials)
        monkeypatch.setattr(comparison, "as_candidate", made.as_candidate)
        return made

    return make


def test_a_slow_program_that_may_keep_a_p99_is_timed_until_that_can_be_told(
    bench: Callable[..., Bench],
) -> None:
    made = bench(fast=1.0, slow=10.0, late=30.0)
    rows = made.compare(9.0)
    assert list(rows) == ["fast", "slow", "late"]
    (_, again) = made.asked
    assert again[0] == ["slow"]
    assert again[1] > CALLS * 10e-3
    assert again[2] == CALLS
    assert (rows["slow"].p99_ms.n, rows["slow"].p99_ms.high) == (CALLS, 10.0)
    assert rows["slow"].cost_usd_per_million == pytest.approx(10e-3)  # of the calls side by side
    assert (rows["fast"].p99_ms.n, rows["late"].p99_ms.high) == (1000, math.inf)


@pytest.mark.parametrize(("spare_s", "bounded"), [(12.0, "ab"), (7.0, "a"), (4.0, "")])
def test_the_cheapest_come_first_as_far_as_there_is_time(
    bench: Callable[..., Bench], spare_s: float, bounded: str
) -> None:
    made = bench(b=12.0, a=10.0)
    rows = made.compare(6.0, spare_s)
    assert {name for name in "ab" if math.isfinite(rows[name].p99_ms.high)} == set(bounded)
    assert [names for names, *_ in made.asked[1:]] == [[name] for name in bounded]


def test_once_a_person_asked_to_stop_no_other_one_is_timed_again(
    bench: Callable[..., Bench],
) -> None:
    made, left = bench(b=12.0, a=10.0), iter((math.inf, math.inf, 0.0))
    made.compare(6.0, lambda: next(left))
    assert [names for names, *_ in made.asked[1:]] == [["a"]]


@pytest.mark.parametrize(
    ("budget", "drop", "varies"),
    [
        ("drop<=5%, p50<=20ms", 0.0, False),  # no p99 is limited
        (BUDGET, 0.2, False),  # it fails anyway
        (BUDGET, 0.0, True),  # there are too few items
    ],
)
def test_where_more_calls_would_change_nothing_there_are_none(
    bench: Callable[..., Bench], budget: str, drop: float, varies: bool
) -> None:
    made = bench(slow=10.0)
    made.drops, made.varies = {"slow": drop}, varies
    rows = made.compare(3.0, budget=budget)
    assert len(made.asked) == 1
    assert rows["slow"].p99_ms.high == math.inf


def test_a_bound_of_an_earlier_timing_will_do(
    bench: Callable[..., Bench], make_candidate: MakeCandidate
) -> None:
    made = bench(slow=10.0)
    before = make_candidate("slow", p99=(10.0, 9.5, 11.0))
    rows = made.compare(3.0, earlier=[before])
    assert len(made.asked) == 1
    assert rows["slow"].p99_ms == before.p99_ms
