"""`diptych bench`: the latency lab on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from diptych.cli.output import print_json, progress, table
from diptych.core.text import number, size
from diptych.core.values import Estimate
from diptych.inference.bundle import load
from diptych.inference.latency import LatencyReport, Scenario, Settings, measure


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    seconds: Annotated[float, typer.Option(help="Seconds for each scenario.")] = 2.0,
    batch: Annotated[int, typer.Option(help="Items per call, offline.")] = 32,
    rate: Annotated[
        list[float] | None, typer.Option(help="Arrivals per second; may be repeated.")
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="Use this runtime.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure a bundle: cold start, single stream, offline, and a server under random arrivals."""
    settings = Settings(seconds=seconds, batch=batch, rates_per_s=tuple(rate or ()))
    with load(bundle, runtime=runtime) as model, progress() as report:
        result = measure(model, settings, report)
    if as_json:
        print_json(result)
    else:
        _show(result)


def _show(result: LatencyReport) -> None:
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    print(
        f"{result.bundle}: {result.program} on {result.runtime}, {threads}\n"
        f"{result.machine.cpu}, {result.machine.cores} cores, {result.machine.system}\n"
        f"cold start {_interval(result.cold_ms)} ms (median of {result.cold_ms.n}), "
        f"{size(result.cold_memory_bytes)} of memory\n"
    )
    header = ("part, scenario", "n", "p50 ms (95 %)", "p99 ms (95 %)", "items/s")
    print(table(header, [_row(scenario) for scenario in result.scenarios]))


def _row(scenario: Scenario) -> tuple[str, ...]:
    offered = scenario.offered_per_s
    name = f"{scenario.part}, {scenario.name}" + (f" at {number(offered)}/s" if offered else "")
    return (
        name,
        f"{scenario.p50_ms.n:,}",
        _interval(scenario.p50_ms),
        _interval(scenario.p99_ms),
        number(scenario.items_per_s),
    )


def _interval(estimate: Estimate) -> str:
    return f"{number(estimate.value)} ({number(max(0.0, estimate.low))} .. {number(estimate.high)})"
