"""All programs compared: timed side by side, and those that need it for longer.

Side by side each has a share of the time, which is too short for the calls that an upper bound of a
slow program's p99 takes. Whoever may keep the budget and has no bound yet is timed again, alone,
the cheapest first: beside a far slower one, blocks of calls would be cut short by its share.

Shapes: N validation items, K outputs.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from diptych.core.progress import Reporter, silent
from diptych.core.values import Candidate
from diptych.fitting.allowance import Allowance
from diptych.fitting.bounds import CALLS, seconds_for_bound, with_bounds
from diptych.fitting.choice import outcomes
from diptych.fitting.trials import Trial, as_candidate, time_trials
from diptych.measure.quantiles import samples_for_bounds
from diptych.measure.timing import Timing


@dataclass(frozen=True, kw_only=True)
class Span:
    """How long programs are timed, in an order that the seed sets.

    `seconds` are for all side by side; after them `spare_s` gives how many more there are for those
    that need more calls.
    """

    seconds: float
    spare_s: Callable[[], float]
    seed: int = 0
    report: Reporter = silent


def compare(
    trials: Sequence[Trial], allowance: Allowance, earlier: Sequence[Candidate], span: Span
) -> list[Candidate]:
    """Time all programs, and gather what they showed.

    Args:
        trials: The programs.
        allowance: The limits, the validation split (N items), and the teacher's answers to it.
        earlier: Some of the same, as they were timed before.
        span: How long.

    Returns:
        One row for each, in order; costs and energy are of the calls side by side.
    """
    inputs = allowance.dataset.validation.inputs
    timed = partial(time_trials, inputs=inputs, seed=span.seed, report=span.report)
    timings = timed(trials, time_limit_s=span.seconds)
    rows = _rows(trials, timings, allowance, earlier)
    needed = _unbounded(trials, rows, allowance, span.spare_s())
    if not needed:
        return rows
    by_name, longer = {trial.name: trial for trial in trials}, dict[str, Timing]()
    for name, seconds in needed.items():
        if span.spare_s():  # nothing is left once a person asked to stop
            longer |= timed([by_name[name]], time_limit_s=seconds, calls=CALLS)
    timings |= {name: _longer(timings[name], timing) for name, timing in longer.items()}
    return _rows(trials, timings, allowance, earlier)


def _rows(
    trials: Sequence[Trial],
    timings: Mapping[str, Timing],
    allowance: Allowance,
    earlier: Sequence[Candidate],
) -> list[Candidate]:
    given = allowance.dataset, allowance.teacher_outputs
    return with_bounds([as_candidate(t, timings.get(t.name), *given) for t in trials], earlier)


def _unbounded(
    trials: Sequence[Trial], rows: Sequence[Candidate], allowance: Allowance, spare_s: float
) -> dict[str, float]:
    """Find whose p99 needs an upper bound and can have one in time, with the seconds it takes."""
    found: dict[str, float] = {}
    few = len(allowance.dataset.validation) < samples_for_bounds(0.99)
    pairs = zip(rows, trials, strict=True)
    for row, trial in sorted(pairs, key=lambda pair: pair[0].cost_usd_per_million):
        seconds = seconds_for_bound(row, allowance.budget)
        known = math.isfinite(row.p99_ms.high) or (few and trial.varies)
        hopeless = "FAIL" in outcomes(row, allowance.budget).values()
        if seconds and not (known or hopeless) and sum(found.values()) + seconds <= spare_s:
            found[row.name] = seconds
    return found


def _longer(side_by_side: Timing, alone: Timing) -> Timing:
    """Take the latencies of whichever has more of them, and the rest of the first."""
    latencies_ms = max(side_by_side.latencies_ms, alone.latencies_ms, key=len)
    return dataclasses.replace(side_by_side, latencies_ms=latencies_ms)
