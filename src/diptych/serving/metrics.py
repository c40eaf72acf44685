"""Counts and times of requests, in the text format that Prometheus reads.

Source: the Prometheus text exposition format, version 0.0.4.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate

from diptych.serving.messages import Response

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MEDIA = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What was answered, by route, since the server started."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS_S) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def record(self, route: str, status: int, seconds: float) -> None:
        """Count one answer.

        Args:
            route: The path it belongs to; one of a fixed set, or the counts grow without end.
            status: The HTTP status.
            seconds: From the end of the request's headers to the answer.
        """
        self._answers[route, status] += 1
        self._buckets[route][bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds[route] += seconds

    def response(self) -> Response:
        """Answer ``GET /metrics``.

        Returns:
            The counts so far.
        """
        return Response(body="\n".join([*self._lines(), ""]).encode(), media=MEDIA)

    def _lines(self) -> Iterator[str]:
        yield "# HELP diptych_requests_total Answers by route and status."
        yield "# TYPE diptych_requests_total counter"
        for (route, status), count in sorted(self._answers.items()):
            yield f'diptych_requests_total{{route="{route}",status="{status}"}} {count}'
        yield "# HELP diptych_request_seconds Time from a request's headers to its answer."
        yield "# TYPE diptych_request_seconds histogram"
        for route, counts in sorted(self._buckets.items()):
            totals = list(accumulate(counts))
            limits = [*map(str, BUCKETS_S), "+Inf"]
            for limit, total in zip(limits, totals, strict=True):
                yield f'diptych_request_seconds_bucket{{route="{route}",le="{limit}"}} {total}'
            yield f'diptych_request_seconds_sum{{route="{route}"}} {self._seconds[route]!r}'
            yield f'diptych_request_seconds_count{{route="{route}"}} {totals[-1]}'
