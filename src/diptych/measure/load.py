"""The load generator: one client at a time, as much as possible, or arrivals at a given rate.

In the server scenario requests arrive at random (Poisson) whether or not the earlier ones are
done, the first one at once, and a latency counts from the moment the request was due. A client that
waits for its answer before it sends the next request hides the queue it has caused ("coordinated
omission").

Source: the scenarios are those of MLPerf Inference (Reddi et al. 2020), with one worker.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.progress import Reporter, Step, silent
from diptych.core.seeds import generator

MS_PER_S = 1e3
SPIN_S = 0.001
WARM_UP_SHARE = 0.2
"""Of the time, at most; one call is made in any case."""
REPORT_EVERY = 64


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time in seconds and a way to let it pass."""

    now: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What a load scenario saw: milliseconds of each call or request, float64 (N,).

    `seconds` is how long all of it took, `items_per_s` the throughput, and `offered_per_s` the rate
    of arrivals where there was one.
    """

    scenario: str
    latencies_ms: np.ndarray
    seconds: float
    items_per_s: float
    offered_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much load: a number of calls, fewer where the time is up before."""

    calls: int
    time_limit_s: float | None = None
    warmup: int = 10

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: If `calls` is below 1, `warmup` below 0 or the limit not above 0.
        """
        limit_s = self.time_limit_s
        if self.calls < 1 or self.warmup < 0 or (limit_s is not None and not limit_s > 0):
            raise ConfigError(f"{self} is no load", "ask for at least one call and some time")


CLOCK = Clock()


def single_stream(
    run: Callable[[], object], amount: Amount, *, clock: Clock = CLOCK, report: Reporter = silent
) -> LoadResult:
    """Send one request after the other, each when the one before is answered.

    Args:
        run: Answers one request of one item.
        amount: How many requests.
        clock: Time.
        report: Called now and then.

    Returns:
        The latency of each request.
    """
    latencies_s, seconds = _closed_loop(run, amount, clock, report)
    return _result("single stream", latencies_s, seconds, len(latencies_s))


def offline(
    run: Callable[[], object],
    amount: Amount,
    *,
    batch: int,
    clock: Clock = CLOCK,
    report: Reporter = silent,
) -> LoadResult:
    """Send batches, each when the one before is answered.

    Args:
        run: Answers one batch.
        amount: How many batches.
        batch: Items in a batch, at least 1.
        clock: Time.
        report: Called now and then.

    Returns:
        The latency of each batch; the throughput counts items.

    Raises:
        ConfigError: If `batch` is below 1.
    """
    if batch < 1:
        raise ConfigError(f"a batch of {batch} is no batch", "ask for at least 1")
    latencies_s, seconds = _closed_loop(run, amount, clock, report)
    return _result(f"offline, batch {batch}", latencies_s, seconds, batch * len(latencies_s))


def server(
    run: Callable[[], object],
    amount: Amount,
    *,
    rate_per_s: float,
    seed: int = 0,
    clock: Clock = CLOCK,
    report: Reporter = silent,
) -> LoadResult:
    """Let requests arrive at random at a rate, and answer them one at a time in their order.

    Args:
        run: Answers one request of one item.
        amount: How many requests.
        rate_per_s: Mean arrivals per second, above 0.
        seed: Seed of the moments of arrival.
        clock: Time.
        report: Called now and then.

    Returns:
        The latency of each request, from the moment it was due; a request that was due but not
        answered when the time was up counts with its wait so far. Each has a gap in the throughput,
        also the first one, which arrives at once.

    Raises:
        ConfigError: If `rate_per_s` is not above 0.
    """
    if not 0 < rate_per_s < float("inf"):
        raise ConfigError(f"{rate_per_s} requests per second are no load", "ask for more than 0")
    gaps_s = generator(seed, "load", "arrivals").exponential(1 / rate_per_s, amount.calls)
    _warm_up(run, amount, clock)
    latencies_s: list[float] = []
    begin = clock.now()
    arrivals = begin + np.cumsum(gaps_s) - gaps_s[0]
    for due in arrivals:
        if _is_over(amount, max(due, clock.now()) - begin):
            break
        _wait_until(due, clock)
        run()
        latencies_s.append(clock.now() - due)
        _tell(report, "server", len(latencies_s), amount.calls)
    end = clock.now()
    answered = len(latencies_s)
    unanswered = arrivals[answered:]
    latencies_s += list(end - unanswered[unanswered < end])
    result = _result("server", latencies_s, end - begin, answered, rate_per_s)
    return replace(result, items_per_s=answered / (end - begin + float(gaps_s[0])))


def highest_rate(
    at_rate: Callable[[float], LoadResult], *, q: float, limit_ms: float, most_per_s: float
) -> float:
    """Search the highest rate of arrivals at which a quantile of the latencies keeps a limit.

    Args:
        at_rate: Puts the server under a rate per second.
        q: Which quantile, such as 0.99.
        limit_ms: The limit.
        most_per_s: A rate that is too high, such as the single stream's throughput.

    Returns:
        Requests per second, to about 2 % of `most_per_s`; 0 where no rate keeps the limit.
    """
    low, high = 0.0, most_per_s
    while high - low > 0.02 * most_per_s:
        middle = (low + high) / 2
        if np.quantile(at_rate(middle).latencies_ms, q, method="inverted_cdf") <= limit_ms:
            low = middle
        else:
            high = middle
    return low


def _closed_loop(
    run: Callable[[], object], amount: Amount, clock: Clock, report: Reporter
) -> tuple[list[float], float]:
    """Return the seconds of each call and of all together, called until the amount is done."""
    _warm_up(run, amount, clock)
    latencies_s: list[float] = []
    begin = now = clock.now()
    while len(latencies_s) < amount.calls and not _is_over(amount, now - begin):
        sent = clock.now()
        run()
        now = clock.now()
        latencies_s.append(now - sent)
        _tell(report, "load", len(latencies_s), amount.calls)
    return latencies_s, now - begin


def _result(
    scenario: str,
    latencies_s: list[float],
    seconds: float,
    items: int,
    offered_per_s: float | None = None,
) -> LoadResult:
    return LoadResult(
        scenario=scenario,
        latencies_ms=np.array(latencies_s, dtype=np.float64) * MS_PER_S,
        seconds=seconds,
        items_per_s=items / seconds,
        offered_per_s=offered_per_s,
    )


def _warm_up(run: Callable[[], object], amount: Amount, clock: Clock) -> None:
    begin = clock.now()
    for _ in range(amount.warmup):
        run()
        if _is_over(amount, (clock.now() - begin) / WARM_UP_SHARE):
            return


def _is_over(amount: Amount, seconds: float) -> bool:
    return amount.time_limit_s is not None and seconds >= amount.time_limit_s


def _wait_until(due: float, clock: Clock) -> None:
    """Sleep until shortly before a moment, then spin: sleeping alone is late by 50 us and more."""
    pause = due - clock.now() - SPIN_S
    if pause > 0:
        clock.sleep(pause)
    while clock.now() < due:
        clock.sleep(0.0)


def _tell(report: Reporter, stage: str, done: int, total: int) -> None:
    if done % REPORT_EVERY == 0 or done == total:
        report(Step(stage=stage, done=done, total=total))
