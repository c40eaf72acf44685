"""The latency lab: a bundle's cold start, and how it answers one by one, in bulk and under load.

Inputs are the golden examples, in turn. ``program`` times the program alone on a prepared input;
``end to end`` times `predict` on an input as a user has it (the bytes of a PNG or a WAV, a text, a
row): preparing it, program, and the answer. Items of a user's own task are not known here.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Literal

import numpy as np
from msgspec import Struct

from diptych.core.errors import ConfigError
from diptych.core.interpreter import python
from diptych.core.manifest import Machine
from diptych.core.progress import Reporter, Step, silent
from diptych.core.values import Estimate
from diptych.inference.bundle import Bundle
from diptych.measure import load as loads
from diptych.measure import machine, process
from diptych.measure.quantiles import quantile
from diptych.tasks.originals import original

Part = Literal["program", "end to end"]
Lane = tuple[Part, Callable[[], object], Callable[[], object]]
MAX_CALLS = 1_000_000
MAX_SERVER_CALLS = 20_000
RATE_SHARES = (0.25, 0.5, 0.75)


class Settings(Struct, frozen=True, kw_only=True):
    """What to measure: seconds per scenario, batch of the offline one, rates, cold starts.

    Without `rates_per_s` the server is tried at 25, 50 and 75 % of the single stream's rate.
    """

    seconds: float = 2.0
    batch: int = 32
    rates_per_s: tuple[float, ...] = ()
    cold_runs: int = 7

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: If a value is outside its range.
        """
        if not (
            0 < self.seconds <= 3600 and 1 <= self.batch <= 4096 and 1 <= self.cold_runs <= 100
        ):
            raise ConfigError(
                f"cannot measure {self.seconds:g} s, batch {self.batch}, {self.cold_runs} starts",
                "use seconds up to 3600, a batch of 1 to 4096, and 1 to 100 starts",
            )
        if not all(0 < rate < 1e6 for rate in self.rates_per_s):
            raise ConfigError(f"rates {self.rates_per_s} per second", "use rates above 0")


class Scenario(Struct, frozen=True, kw_only=True):
    """One scenario: latency of a call, and items answered per second."""

    name: str
    part: Part
    p50_ms: Estimate
    p99_ms: Estimate
    items_per_s: float
    seconds: float
    offered_per_s: float | None = None


class LatencyReport(Struct, frozen=True, kw_only=True):
    """What the lab saw, with the conditions."""

    bundle: str
    program: str
    runtime: str
    precision: str
    threads: int
    cold_ms: Estimate
    cold_memory_bytes: int
    scenarios: tuple[Scenario, ...]
    machine: Machine


def measure(
    bundle: Bundle, settings: Settings | None = None, report: Reporter = silent
) -> LatencyReport:
    """Measure a bundle on this machine.

    Args:
        bundle: An open bundle.
        settings: How much to measure.
        report: Told when a scenario is done.

    Returns:
        The figures.
    """
    settings = settings or Settings()
    inputs = bundle.golden().inputs
    scenarios: list[Scenario] = []
    lanes = [lane for make in LANES if (lane := make(bundle, inputs, settings)) is not None]
    num_parts = 2 + len(lanes) * (2 + len(settings.rates_per_s or RATE_SHARES))

    def done(note: str) -> None:
        report(Step(stage="bench", done=len(scenarios) + 1, total=num_parts, note=note))

    cold = cold_start(bundle, settings.cold_runs)
    done("cold start")
    for scenario in _warm_scenarios(lanes, settings):
        scenarios.append(scenario)
        done(scenario.name)
    report(Step(stage="bench", done=num_parts, total=num_parts))
    return LatencyReport(
        bundle=bundle.manifest.name,
        program=bundle.program.name,
        runtime=bundle.program.runtime,
        precision=bundle.program.precision,
        threads=bundle.program.threads,
        cold_ms=quantile(cold.wall_ms, 0.5),
        cold_memory_bytes=int(cold.peak_rss_bytes.max()),
        scenarios=tuple(scenarios),
        machine=machine.describe(),
    )


def cold_start(bundle: Bundle, runs: int = 7) -> process.ProcessFigures:
    """Start new processes that load the bundle and predict once.

    Args:
        bundle: An open bundle; the same runtime is used.
        runs: How many processes, at least 1.

    Returns:
        Wall time from the start of Python to its end, CPU time and peak memory of each.
    """
    module, runtime = "diptych.inference.probe", bundle.program.runtime
    words = "-m", module, str(bundle.path), runtime, "warn"  # who opened it knows what differs
    return process.probe(python(*words), runs=runs)


def _warm_scenarios(lanes: Sequence[Lane], settings: Settings) -> Iterator[Scenario]:
    limit = loads.Amount(calls=MAX_CALLS, time_limit_s=settings.seconds)
    for part, one, many in lanes:
        single = loads.single_stream(one, limit)
        yield _scenario(part, single)
        yield _scenario(part, loads.offline(many, limit, batch=settings.batch))
        rates = settings.rates_per_s or tuple(single.items_per_s * share for share in RATE_SHARES)
        for rate in rates:
            calls = min(MAX_SERVER_CALLS, math.ceil(rate * settings.seconds))
            amount = loads.Amount(calls=calls, time_limit_s=settings.seconds)
            yield _scenario(part, loads.server(one, amount, rate_per_s=rate))


def _program(bundle: Bundle, inputs: np.ndarray, settings: Settings) -> Lane:
    singles = cycle([inputs[index : index + 1] for index in range(len(inputs))])
    batch = inputs[np.arange(settings.batch) % len(inputs)]
    return "program", lambda: bundle.run(next(singles)), lambda: bundle.run(batch)


def _end_to_end(bundle: Bundle, inputs: np.ndarray, settings: Settings) -> Lane | None:
    restore = original(bundle.manifest.input, bundle.assets())
    if restore is None:
        return None
    items = [restore(prepared) for prepared in inputs]
    singles = cycle(items)
    batch = [items[index % len(items)] for index in range(settings.batch)]
    return "end to end", lambda: bundle.predict(next(singles)), lambda: bundle.predict(batch)


LANES: tuple[Callable[[Bundle, np.ndarray, Settings], Lane | None], ...] = (_program, _end_to_end)


def _scenario(part: Part, result: loads.LoadResult) -> Scenario:
    return Scenario(
        name=result.scenario,
        part=part,
        p50_ms=quantile(result.latencies_ms, 0.5),
        p99_ms=quantile(result.latencies_ms, 0.99),
        items_per_s=result.items_per_s,
        seconds=result.seconds,
        offered_per_s=result.offered_per_s,
    )
