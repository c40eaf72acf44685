"""One lane of a race: a process that stays and times its own single calls when it is told to.

Two programs that cannot live in one environment are compared by turns: a line on standard input
says how many calls and for how many seconds at most; the answer is one line of JSON, milliseconds
of each call. What the caller and the pipe cost is in no number.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle

WARM_UP = 20


def serve(call: Callable[[object], object], items: Sequence[object]) -> None:
    """Answer blocks of calls on ever the next item until standard input ends."""
    turn = cycle(items)
    for _ in range(WARM_UP):
        call(next(turn))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(block(call, turn, **json.loads(line))), flush=True)


def block(call: Callable, turn, calls: int, seconds: float) -> list[float]:
    times: list[float] = []
    stop = time.perf_counter() + seconds
    while len(times) < calls and time.perf_counter() < stop:
        item = next(turn)
        begin = time.perf_counter_ns()
        call(item)
        times.append((time.perf_counter_ns() - begin) / 1e6)
    return times
