"""Timing runs side by side: calls alternate in blocks, so that drift hits all of them alike.

Each round times one block of every run, in an order shuffled anew; a few calls at the start of a
block are not timed, since they pay for the caches that the run before has filled. The garbage
collector rests meanwhile. CPU time and the processors' energy counters are read over whole blocks:
energy and cost are made of them.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.progress import Reporter, Step, silent
from diptych.core.seeds import generator
from diptych.core.values import Energy
from diptych.measure.counted_energy import CountedEnergy, Meter
from diptych.measure.means import mean
from diptych.measure.processor_energy import open_meter

NS_PER_MS = 1e6
NS_PER_S = 1e9
SLICES = 8


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """How runs are timed.

    `warmup` calls of each run before the first round and `settle` calls before each block are not
    timed; `block` calls are. `clock` gives nanoseconds of wall time, `cpu_clock` of CPU time of
    all threads of the process; `meter` counts the processors' energy where it can be counted.
    """

    warmup: int = 10
    settle: int = 2
    block: int = 20
    clock: Callable[[], int] = time.perf_counter_ns
    cpu_clock: Callable[[], int] = time.process_time_ns
    meter: Callable[[], Meter | None] = open_meter

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: If `block` is below 1, or `warmup` or `settle` below 0.
        """
        if self.block < 1 or self.warmup < 0 or self.settle < 0:
            seen = f"block {self.block}, warmup {self.warmup}, settle {self.settle}"
            raise ConfigError(f"cannot time with {seen}", "time at least one call per block")


PROCEDURE = Procedure()


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What was timed of one run: float64 (N,) milliseconds, one per call, and mean CPU seconds.

    `counted` is the energy of a call where the processors count theirs.
    """

    latencies_ms: np.ndarray
    cpu_seconds_per_call: float
    counted: Energy | None = None


@dataclass
class _Lane:
    """One run while it is timed."""

    run: Callable[[], object]
    latencies_ns: list[int] = field(default_factory=list)
    cpu_ns: int = 0
    spent_ns: int = 0
    joules: list[float] = field(default_factory=list)

    def timing(self, counted: Energy | None) -> Timing:
        return Timing(
            latencies_ms=np.array(self.latencies_ns, dtype=np.float64) / NS_PER_MS,
            cpu_seconds_per_call=self.cpu_ns / NS_PER_S / len(self.latencies_ns),
            counted=_each(np.array(self.joules), counted.method) if counted else None,
        )


def interleave(
    runs: Mapping[str, Callable[[], object]],
    *,
    samples: int,
    time_limit_s: float | None = None,
    seed: int = 0,
    report: Reporter = silent,
    procedure: Procedure = PROCEDURE,
) -> dict[str, Timing]:
    """Time several runs side by side.

    Args:
        runs: What to call, by name.
        samples: Timed calls per run, at least 1.
        time_limit_s: When to stop early; every run still gets at least one timed call, and no
            block of calls may take more than an eighth of the time of one run. The time is shared
            alike, so that what is fast has its samples however slow the others are.
        seed: Seed of the order of the runs within a round.
        report: Called after each block.
        procedure: Warm-up, block length and clocks.

    Returns:
        The timing of each run, in the order of `runs`.

    Raises:
        ConfigError: If there is nothing to run, `samples` is below 1 or the limit not above 0.
    """
    if not runs or samples < 1 or (time_limit_s is not None and not time_limit_s > 0):
        seen = f"{len(runs)} runs, {samples} samples, {time_limit_s} s"
        raise ConfigError(f"cannot time {seen}", "give a run, a sample and some time")
    lanes = {name: _Lane(run) for name, run in runs.items()}
    limit_ns = None if time_limit_s is None else int(time_limit_s * NS_PER_S)
    share_ns = None if limit_ns is None else limit_ns // len(lanes)
    slice_ns = None if share_ns is None else share_ns // SLICES
    order = generator(seed, "timing", "order")
    counter = CountedEnergy(procedure.meter())
    with garbage_collector_paused():
        begin_ns = procedure.clock()
        for lane in lanes.values():
            lane.spent_ns = -procedure.clock()
            _untimed(lane.run, procedure.warmup, slice_ns, procedure.clock)
            lane.spent_ns += procedure.clock()
        for name in _turns(lanes, samples, share_ns, order):
            spent_ns = procedure.clock() - begin_ns
            if limit_ns is not None and spent_ns >= limit_ns:
                break
            count = min(procedure.block, samples - len(lanes[name].latencies_ns))
            _time_block(lanes[name], count, slice_ns, procedure, counter)
            report(_progress(lanes, samples, spent_ns, limit_ns))
        for lane in lanes.values():
            if not lane.latencies_ns:
                _time_block(lane, 1, slice_ns, procedure, counter)
    report(Step(stage="measure", done=1.0, total=1.0))
    counted = counter.energy()
    return {name: lane.timing(counted) for name, lane in lanes.items()}


@contextmanager
def garbage_collector_paused() -> Iterator[None]:
    """Collect no garbage until the end of the block.

    Yields:
        Nothing.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _turns(
    lanes: Mapping[str, _Lane], samples: int, share_ns: int | None, order: np.random.Generator
) -> Iterator[str]:
    """Give the names of the runs that lack samples, round after round, each in a new order.

    With a share of the time for each, slow runs sit rounds out: none has used more of its share
    than the run that is furthest has of its samples, unless all have.
    """
    while lacking := {n: lane for n, lane in lanes.items() if len(lane.latencies_ns) < samples}:
        names = list(lacking)
        if share_ns is not None:
            used = {name: lane.spent_ns / share_ns for name, lane in lacking.items()}
            furthest = max(len(lane.latencies_ns) for lane in lacking.values()) / samples
            names = [name for name in used if used[name] <= max(furthest, min(used.values()))]
        for index in order.permutation(len(names)):
            yield names[index]


def _untimed(
    run: Callable[[], object], count: int, slice_ns: int | None, clock: Callable[[], int]
) -> None:
    begin_ns = clock()
    for _ in range(count):
        run()
        if slice_ns is not None and clock() - begin_ns >= slice_ns:
            return


def _time_block(
    lane: _Lane,
    count: int,
    slice_ns: int | None,
    procedure: Procedure,
    counter: CountedEnergy,
) -> None:
    """Time up to `count` calls, at least one, until the slice of time is used up."""
    clock, run = procedure.clock, lane.run
    first_ns, timed = clock(), len(lane.latencies_ns)
    _untimed(run, procedure.settle, slice_ns, clock)
    before, cpu_begin_ns = counter.energy(), procedure.cpu_clock()
    for _ in range(count):
        begin_ns = clock()
        run()
        end_ns = clock()
        lane.latencies_ns.append(end_ns - begin_ns)
        if slice_ns is not None and end_ns - first_ns >= slice_ns:
            break
    lane.cpu_ns += procedure.cpu_clock() - cpu_begin_ns
    after = counter.energy()
    if before and after:
        lane.joules.append((after.value_j - before.value_j) / (len(lane.latencies_ns) - timed))
    lane.spent_ns += clock() - first_ns


def _progress(
    lanes: Mapping[str, _Lane], samples: int, spent_ns: int, limit_ns: int | None
) -> Step:
    timed = sum(len(lane.latencies_ns) for lane in lanes.values())
    share = timed / (samples * len(lanes))
    if limit_ns is not None:
        share = max(share, min(1.0, spent_ns / limit_ns))
    return Step(stage="measure", done=min(share, 0.999), total=1.0, note=f"{timed} calls")


def _each(joules: np.ndarray, method: str) -> Energy:
    """Return the mean of what was counted, joules per call of each block.

    A counter moves about once in a millisecond, so that a block gets a part of what others used;
    the interval of the mean allows for it, and where blocks are few, their range.
    """
    found = mean(joules, span=float(joules.mean()))
    low, high = found.low, found.high
    if not math.isfinite(high):
        low, high = float(joules.min()), float(joules.max())
    return Energy(
        value_j=found.value, low_j=max(0.0, low), high_j=high, label="counter", method=method
    )
