import gc
from collections.abc import Callable
from itertools import count, groupby

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.core.progress import Step
from diptych.core.values import Energy
from diptych.measure.counted_energy import Meter
from diptych.measure.timing import Procedure, garbage_collector_paused, interleave


class Bench:
    """A simulated machine: runs take the time they say; the clocks show it."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.cpu_ns = 0
        self.calls: list[str] = []
        self.meter: Meter | None = None

    def run(self, name: str, ms: Callable[[int], float], cores: float = 1.0) -> Callable[[], None]:
        numbers = count()

        def call() -> None:
            duration_ns = int(ms(next(numbers)) * 1e6)
            self.now_ns += duration_ns
            self.cpu_ns += int(duration_ns * cores)
            self.calls.append(name)

        return call

    def procedure(self, **settings: int) -> Procedure:
        return Procedure(
            clock=lambda: self.now_ns,
            cpu_clock=lambda: self.cpu_ns,
            meter=lambda: self.meter,
            **settings,
        )


def test_each_call_is_timed_and_warm_up_is_left_out() -> None:
    bench = Bench()
    runs = {
        "cold": bench.run("cold", lambda call: 50.0 if call < 10 else 2.0),
        "wide": bench.run("wide", lambda call: 4.0, cores=2.0),
    }
    timings = interleave(runs, samples=45, procedure=bench.procedure())
    assert list(timings) == ["cold", "wide"]
    np.testing.assert_array_equal(timings["cold"].latencies_ms, np.full(45, 2.0))
    np.testing.assert_array_equal(timings["wide"].latencies_ms, np.full(45, 4.0))
    assert timings["cold"].cpu_seconds_per_call == pytest.approx(0.002)
    assert timings["wide"].cpu_seconds_per_call == pytest.approx(0.008)


def test_the_first_calls_of_a_block_are_not_timed() -> None:
    bench = Bench()

    def after_a_change(name: str) -> Callable[[int], float]:
        return lambda call: 1.0 if bench.calls[-2:] == [name, name] else 9.0

    runs = {name: bench.run(name, after_a_change(name)) for name in "ab"}
    timings = interleave(runs, samples=60, procedure=bench.procedure(settle=2))
    assert max(timings["a"].latencies_ms.max(), timings["b"].latencies_ms.max()) == 1.0


def test_runs_alternate_in_blocks_in_an_order_that_the_seed_sets() -> None:
    orders = []
    for seed in (1, 1, 2):
        bench = Bench()
        runs = {name: bench.run(name, lambda call: 1.0) for name in "abc"}
        quiet = bench.procedure(warmup=0, settle=0, block=10)
        interleave(runs, samples=100, seed=seed, procedure=quiet)
        orders.append("".join(bench.calls))
    blocks = [orders[0][start : start + 10] for start in range(0, 300, 10)]
    assert all(len(set(block)) == 1 for block in blocks)
    rounds = ["".join(block[0] for block in blocks[i : i + 3]) for i in range(0, 30, 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) > 1
    assert orders[0] == orders[1] != orders[2]


def test_drift_hits_all_runs_alike() -> None:
    bench = Bench()
    runs = {
        name: bench.run(name, lambda call, scale=scale: scale * (1 + len(bench.calls) / 1000))
        for name, scale in (("one", 1.0), ("two", 2.0))
    }
    timings = interleave(runs, samples=500, procedure=bench.procedure())
    ratio = np.median(timings["two"].latencies_ms) / np.median(timings["one"].latencies_ms)
    assert ratio == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("call_ms", [0.5, 40.0, 900.0])
def test_a_time_limit_is_kept_and_every_run_gets_its_share(call_ms: float) -> None:
    bench = Bench()
    runs = {name: bench.run(name, lambda call: call_ms) for name in "abcd"}
    timings = interleave(runs, samples=100_000, time_limit_s=10.0, procedure=bench.procedure())
    counts = [len(timing.latencies_ms) for timing in timings.values()]
    assert min(counts) >= 1
    assert max(counts) <= 1.5 * min(counts) + 1
    one_block_s = 10.0 / 32 + 2 * call_ms / 1000
    assert bench.now_ns / 1e9 <= 10.0 + one_block_s


def test_what_is_fast_has_all_its_samples_however_many_are_slow_beside_it() -> None:
    bench = Bench()
    runs = {f"slow {number}": bench.run("slow", lambda call: 10.0) for number in range(13)}
    runs["fast"] = bench.run("fast", lambda call: 0.1)
    timings = interleave(runs, samples=1000, time_limit_s=3.0, procedure=bench.procedure())
    assert len(timings.pop("fast").latencies_ms) == 1000
    counts = [len(timing.latencies_ms) for timing in timings.values()]
    assert max(counts) <= min(counts) + 3
    assert bench.now_ns / 1e9 <= 3.0 + 3.0 / 8 + 1.0


def test_a_limit_shorter_than_a_call_still_times_each_run_once() -> None:
    bench = Bench()
    runs = {name: bench.run(name, lambda call: 5000.0) for name in "ab"}
    timings = interleave(runs, samples=10, time_limit_s=1.0, procedure=bench.procedure())
    assert [len(timing.latencies_ms) for timing in timings.values()] == [1, 1]


def test_a_run_whose_warm_up_takes_all_the_time_is_timed_beside_a_fast_one() -> None:
    bench = Bench()
    runs = {"slow": bench.run("slow", lambda call: 1500.0), "fast": bench.run("fast", lambda c: 1)}
    timings = interleave(runs, samples=400, time_limit_s=1.0, procedure=bench.procedure())
    assert [len(timing.latencies_ms) for timing in timings.values()] == [1, 1]


def test_blocks_do_not_run_over_the_samples_asked_for() -> None:
    bench = Bench()
    timings = interleave(
        {"a": bench.run("a", lambda call: 1.0)}, samples=33, procedure=bench.procedure()
    )
    assert len(timings["a"].latencies_ms) == 33
    assert [len(list(group)) for _, group in groupby(bench.calls)] == [10 + 2 + 20 + 2 + 13]


def test_the_garbage_collector_rests_and_comes_back_even_after_an_error() -> None:
    seen: list[bool] = []
    interleave({"a": lambda: seen.append(gc.isenabled())}, samples=3)
    assert seen
    assert not any(seen)
    assert gc.isenabled()

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interleave({"a": fail}, samples=3)
    assert gc.isenabled()


def test_a_garbage_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with garbage_collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_progress_grows_to_its_total() -> None:
    steps: list[Step] = []
    bench = Bench()
    runs = {name: bench.run(name, lambda call: 1.0) for name in "ab"}
    interleave(runs, samples=100, report=steps.append, procedure=bench.procedure())
    shares = [step.done / step.total for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all(share < 1.0 for share in shares[:-1])


@pytest.mark.parametrize(
    ("runs", "samples", "limit"), [({}, 5, None), ({"a": int}, 0, None), ({"a": int}, 5, 0.0)]
)
def test_nothing_to_time_is_refused(
    runs: dict[str, Callable[[], object]], samples: int, limit: float | None
) -> None:
    with pytest.raises(ConfigError, match="cannot time"):
        interleave(runs, samples=samples, time_limit_s=limit)


@pytest.mark.parametrize("settings", [{"block": 0}, {"warmup": -1}, {"settle": -1}])
def test_a_procedure_out_of_range_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="cannot time"):
        Procedure(**settings)


class Package:
    """Draws 20 W while time goes by, and moves once in a millisecond; lost after some time."""

    def __init__(self, bench: Bench, lost_after_ms: float = float("inf")) -> None:
        self.bench, self.lost_after_ms = bench, lost_after_ms

    def energy(self) -> Energy:
        now_ms = self.bench.now_ns // 1_000_000
        if now_ms > self.lost_after_ms:
            raise ConfigError("lost", "")
        joules = 20e-3 * now_ms
        return Energy(value_j=joules, low_j=joules, high_j=joules, label="counter", method="bench")


def test_energy_is_counted_over_blocks_where_it_can_be() -> None:
    bench = Bench()
    bench.meter = Package(bench)
    runs = {name: bench.run(name, lambda call, ms=ms: ms) for name, ms in (("a", 0.13), ("b", 4.0))}
    timings = interleave(runs, samples=600, procedure=bench.procedure())
    for name, ms in (("a", 0.13), ("b", 4.0)):
        energy = timings[name].counted
        assert energy is not None
        assert (energy.label, energy.method) == ("counter", "bench")
        assert energy.low_j <= 20e-3 * ms <= energy.high_j
        assert energy.high_j - energy.low_j < 0.3 * energy.value_j


def test_few_blocks_tell_the_range_of_their_energies() -> None:
    bench = Bench()
    bench.meter = Package(bench)
    runs = {"a": bench.run("a", lambda call: 1.0 if call < 40 else 3.0)}
    procedure = bench.procedure(warmup=0, settle=0)
    energy = interleave(runs, samples=60, procedure=procedure)["a"].counted
    assert energy is not None
    assert [energy.low_j, energy.value_j, energy.high_j] == pytest.approx([0.02, 0.1 / 3, 0.06])


def test_energy_that_is_not_counted_to_the_end_is_told_of_none() -> None:
    bench = Bench()
    bench.meter = Package(bench, lost_after_ms=300)
    runs = {name: bench.run(name, lambda call: 1.0) for name in "ab"}
    timings = interleave(runs, samples=500, procedure=bench.procedure())
    assert [timing.counted for timing in timings.values()] == [None, None]
