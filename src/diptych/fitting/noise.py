"""How far the cost of one program differs from itself: programs timed against their own copies.

A program that is opened twice lies elsewhere in memory, and the machine does other things
meanwhile. What two programs differ by less than that is no difference.
"""

import numpy as np

from diptych.fitting.trials import Trial, in_turns, open_lowered
from diptych.measure.timing import interleave

COPIES = 4
CALLS = 400
MOST_S = 1.0


def noise_floor(trial: Trial, inputs: np.ndarray, time_limit_s: float) -> float:
    """Time copies of one program side by side.

    Args:
        trial: The program.
        inputs: Raw inputs (N, ...), of which some take turns.
        time_limit_s: When to stop; it takes `MOST_S` at most.

    Returns:
        By which share the processor's time of the slowest copy exceeds that of the fastest.
    """
    sessions = [open_lowered(trial.program, trial.threads) for _ in range(COPIES)]
    runs = {str(place): in_turns(each, inputs) for place, each in enumerate(sessions)}
    timings = interleave(runs, samples=CALLS, time_limit_s=min(MOST_S, time_limit_s))
    costs = [timing.cpu_seconds_per_call for timing in timings.values()]
    return max(costs) / min(costs) - 1
