import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

from diptych.core.progress import silent
from diptych.core.values import Candidate, Energy
from diptych.fitting import finishing
from diptych.fitting.assembly import Outcome
from diptych.fitting.budget import Budget
from diptych.fitting.choice import choose
from diptych.fitting.finishing import finish_fit
from diptych.fitting.verdicts import Evidence
from diptych.tasks.goals import GOALS

MakeCandidate = Callable[..., Candidate]
RUNTIMES = {"a": "openvino", "b": "openvino", "c": "onnxruntime", "d": "litert"}


class Finish:
    """The end of a fit whose programs, the cheapest first, take so many MB of memory."""

    def __init__(self, rows: Sequence[Candidate], budget: str, peaks: dict[str, int]) -> None:
        self.rows, self.budget, self.peaks = tuple(rows), Budget.parse(budget), peaks
        self.started: list[str] = []
        self.written: list[str] = []

    def evidence_of(self, _session: object, row: Candidate, _s: float, *, last: bool) -> Evidence:
        assert last
        energy = Energy(value_j=1.0, low_j=1.0, high_j=1.0, label="modelled", method="made up")
        nothing = np.empty(0)
        return Evidence(
            kind=GOALS["classification"],
            targets=nothing,
            teacher_outputs=nothing,
            outputs=nothing,
            latencies_ms=nothing,
            size_bytes=row.size_bytes,
            energy=energy,
            cost_usd_per_million=1.0,
        )

    def take_stock(self, session: object, seconds: float, *, last: bool) -> Outcome:
        chosen = choose(self.rows, self.budget)
        return Outcome(
            recipe=None,  # type: ignore[arg-type]
            trainees=(),
            trials=(),
            candidates=self.rows,
            chosen=chosen,
            evidence=self.evidence_of(session, chosen, seconds, last=last),
            interrupted=False,
            calibration_sha256=None,
        )

    def with_starts(self, evidence: Evidence, *_: object) -> Evidence:
        (row,) = [each for each in self.rows if each.size_bytes == evidence.size_bytes]
        self.started.append(row.name)
        peaks = np.full(6, self.peaks[row.name] * 1_000_000)
        return dataclasses.replace(evidence, memory_bytes=peaks)

    def write_bundle(self, _job: object, outcome: Outcome, **_more: object) -> None:
        self.written.append(outcome.chosen.name)

    def run(self, spare_s: float = math.inf) -> None:
        inputs = SimpleNamespace(validation=SimpleNamespace(inputs=np.empty(0)))
        time = SimpleNamespace(
            final_timing_s=10.0,
            training_s=lambda models: math.inf,
            spare_s=lambda *, last: spare_s,
            is_late=False,
        )
        session = SimpleNamespace(
            settings=SimpleNamespace(stop=False, report=silent),
            time=time,
            candidates=self.rows,
            job=SimpleNamespace(budget=self.budget, destination=Path("a.dip"), dataset=inputs),
            trials=[SimpleNamespace(name=row.name) for row in self.rows],
            noise=None,
        )
        finish_fit(session)  # type: ignore[arg-type]


@pytest.fixture
def finish(make_candidate: MakeCandidate, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finish]:
    def make(budget: str = "drop<=5%, memory<=100MB", **peaks: int) -> Finish:
        rows = [
            replace(
                make_candidate(name, size=1 + place, cost=1.0 + place),
                runtime=RUNTIMES[name],
                meets_budget=True,
            )
            for place, name in enumerate(peaks)
        ]
        made = Finish(rows, budget, peaks)
        for name in ("take_stock", "evidence_of", "with_starts", "write_bundle"):
            monkeypatch.setattr(finishing, name, getattr(made, name))
        monkeypatch.setattr(finishing, "noise_floor", lambda *_: 0.0)
        return made

    return make


@pytest.mark.parametrize(
    ("peaks", "started", "chosen"),
    [
        ({"a": 60, "c": 50}, "a", "a"),
        ({"a": 200, "b": 60, "c": 60, "d": 60}, "ac", "c"),  # one for each runtime
        ({"a": 200, "c": 150, "d": 60}, "acd", "d"),
        ({"a": 200, "c": 150, "d": 120}, "acd", "a"),  # none does
    ],
)
def test_where_the_choice_takes_too_much_memory_another_runtimes_program_is_chosen(
    finish: Callable[..., Finish], peaks: dict[str, int], started: str, chosen: str
) -> None:
    made = finish(**peaks)
    made.run()
    assert "".join(made.started) == started
    assert made.written == [*started, chosen]


def test_others_are_not_started_without_time_or_where_memory_is_not_limited(
    finish: Callable[..., Finish],
) -> None:
    late = finish(a=200, c=50)
    late.run(spare_s=0.0)
    free = finish("drop<=5%", a=200, c=50)
    free.run()
    assert late.written == free.written == ["a", "a"]


def test_what_misses_the_rest_of_the_budget_or_cannot_run_here_takes_no_place(
    finish: Callable[..., Finish],
) -> None:
    made = finish(a=200, c=50, d=50)
    a, c, d = made.rows
    made.rows = (a, replace(c, meets_budget=False), replace(d, unverified="no such device"))
    made.run()
    assert made.started == ["a"]
