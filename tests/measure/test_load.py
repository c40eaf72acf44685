from collections.abc import Callable

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.core.progress import Step
from diptych.measure.load import (
    Amount,
    Clock,
    LoadResult,
    highest_rate,
    offline,
    server,
    single_stream,
)


class Simulation:
    """Time that passes only when something works or sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_s = 0.0
        self.clock = Clock(now=lambda: self.now_s, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        step = max(seconds, 2e-5)
        self.now_s += step
        self.slept_s += step

    def work(self, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.now_s += seconds

        return run


def test_a_single_stream_waits_for_each_answer() -> None:
    simulation = Simulation()
    result = single_stream(simulation.work(0.004), Amount(calls=50), clock=simulation.clock)
    np.testing.assert_allclose(result.latencies_ms, np.full(50, 4.0), rtol=1e-9)
    assert result.items_per_s == pytest.approx(250.0)
    assert result.offered_per_s is None


def test_offline_throughput_counts_items() -> None:
    simulation = Simulation()
    result = offline(simulation.work(0.1), Amount(calls=5), batch=32, clock=simulation.clock)
    assert result.items_per_s == pytest.approx(320.0)
    assert result.scenario == "offline, batch 32"


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_server_shows_the_waits_of_the_md1_queue(load: float) -> None:
    # Pollaczek-Khinchine for constant service time s: mean wait = load x s / (2 (1 - load)).
    simulation = Simulation()
    service_s = 0.010
    result = server(
        simulation.work(service_s),
        Amount(calls=20_000),
        rate_per_s=load / service_s,
        clock=simulation.clock,
    )
    wait_ms = result.latencies_ms.mean() - 1e3 * service_s
    assert wait_ms == pytest.approx(1e3 * load * service_s / (2 * (1 - load)), rel=0.1)
    assert result.items_per_s == pytest.approx(load / service_s, rel=0.05)


def test_a_pause_is_charged_to_every_request_that_was_due_meanwhile() -> None:
    simulation = Simulation()
    calls = iter(range(1000))

    def run() -> None:
        simulation.now_s += 1.0 if next(calls) == 500 else 0.0001

    result = server(run, Amount(calls=1000, warmup=0), rate_per_s=100.0, clock=simulation.clock)
    assert 60 < np.count_nonzero(result.latencies_ms > 100) < 130  # about 0.9 s of arrivals


def test_an_overloaded_server_counts_those_it_did_not_get_to() -> None:
    simulation = Simulation()
    result = server(
        simulation.work(0.02),
        Amount(calls=100_000, time_limit_s=10.0),
        rate_per_s=100.0,
        clock=simulation.clock,
    )
    assert result.items_per_s == pytest.approx(50.0, rel=0.02)
    assert len(result.latencies_ms) == pytest.approx(1000, rel=0.15)
    assert result.latencies_ms.min() > 0
    assert result.latencies_ms.max() == pytest.approx(5000, rel=0.1)


def test_the_seed_sets_the_arrivals() -> None:
    def latencies(seed: int) -> list[float]:
        simulation = Simulation()
        work = simulation.work(0.005)
        amount = Amount(calls=200)
        result = server(work, amount, rate_per_s=150, seed=seed, clock=simulation.clock)
        return result.latencies_ms.tolist()

    assert latencies(1) == latencies(1) != latencies(2)


def test_an_idle_server_sleeps_rather_than_spins() -> None:
    simulation = Simulation()
    result = server(
        simulation.work(0.0001), Amount(calls=100), rate_per_s=10.0, clock=simulation.clock
    )
    assert simulation.slept_s > 0.95 * result.seconds
    assert result.latencies_ms.max() < 0.2


@pytest.mark.parametrize("scenario", [single_stream, server])
def test_the_time_limit_ends_the_load(scenario: Callable[..., LoadResult]) -> None:
    simulation = Simulation()
    extra = {"rate_per_s": 5.0} if scenario is server else {}
    amount = Amount(calls=1_000_000 if scenario is single_stream else 1000, time_limit_s=2.0)
    result = scenario(simulation.work(0.05), amount, clock=simulation.clock, **extra)
    assert 1.0 < result.seconds < 2.1
    assert len(result.latencies_ms) < 60


def test_the_first_request_arrives_at_once_however_few_there_are() -> None:
    simulation = Simulation()
    amount = Amount(calls=1, time_limit_s=0.5)
    result = server(simulation.work(0.05), amount, rate_per_s=0.01, clock=simulation.clock)
    np.testing.assert_allclose(result.latencies_ms, [50.0])
    assert result.items_per_s < 1, "no more than arrived, however fast it was answered"


def test_warm_up_takes_no_more_than_a_part_of_the_time() -> None:
    simulation = Simulation()
    single_stream(simulation.work(2.0), Amount(calls=9, time_limit_s=2.0), clock=simulation.clock)
    assert simulation.now_s == 104.0, "one call to warm up, one that counts"


def test_warm_up_calls_are_not_counted() -> None:
    simulation = Simulation()
    calls = iter(range(100))

    def run() -> None:
        simulation.now_s += 9.0 if next(calls) < 10 else 0.001

    result = single_stream(run, Amount(calls=20), clock=simulation.clock)
    assert result.latencies_ms.max() == pytest.approx(1.0)


def test_the_highest_rate_is_found_where_the_queue_reaches_the_limit() -> None:
    def at_rate(rate: float) -> LoadResult:
        simulation = Simulation()
        amount = Amount(calls=3000)
        return server(simulation.work(0.01), amount, rate_per_s=rate, clock=simulation.clock)

    found = highest_rate(at_rate, q=0.99, limit_ms=40.0, most_per_s=100.0)
    below = np.quantile(at_rate(found).latencies_ms, 0.99)
    above = np.quantile(at_rate(found + 2.0).latencies_ms, 0.99)
    assert below <= 40.0 < above
    assert highest_rate(at_rate, q=0.99, limit_ms=5.0, most_per_s=100.0) == 0.0


def test_progress_reaches_its_total() -> None:
    simulation = Simulation()
    steps: list[Step] = []
    amount = Amount(calls=100)
    single_stream(simulation.work(0.01), amount, clock=simulation.clock, report=steps.append)
    assert (steps[-1].done, steps[-1].total) == (100, 100)


@pytest.mark.parametrize("settings", [{"calls": 0}, {"calls": 1, "time_limit_s": 0.0}])
def test_no_load_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="no load"):
        Amount(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="requests per second"):
        server(int, Amount(calls=1), rate_per_s=rate)


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch of 0"):
        offline(int, Amount(calls=1), batch=0)


def test_a_clock_that_moves_between_two_readings_never_asks_for_a_negative_sleep() -> None:
    simulation = Simulation()

    def now() -> float:
        simulation.now_s += 3e-4  # longer than the spin: due moments pass between readings
        return simulation.now_s

    def sleep(seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        simulation.sleep(seconds)

    result = server(
        lambda: None, Amount(calls=200), rate_per_s=250.0, clock=Clock(now=now, sleep=sleep)
    )
    assert len(result.latencies_ms) == 200
