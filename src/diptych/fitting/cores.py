"""Programs on all cores of a machine, for where one thread takes too long for the budget.

One thread answers small networks as soon as several do, for less of the processor, so nothing else
is tried as long as that keeps what a budget says of latency.
"""

from collections.abc import Sequence
from dataclasses import replace

from diptych.core.progress import Step
from diptych.core.values import Candidate
from diptych.fitting.choice import outcomes
from diptych.fitting.job import Job
from diptych.fitting.settings import Settings
from diptych.fitting.trials import Trial, open_lowered, run_all

LATENCIES = frozenset(("p50", "p99"))


def try_on_all_cores(
    trials: Sequence[Trial], candidates: Sequence[Candidate], job: Job, settings: Settings
) -> list[Trial]:
    """Open the programs of models that are too slow on all cores.

    Args:
        trials: Of all models.
        candidates: What the trials cost.
        job: The budget, the machine, and the data, whose validation split is answered again.
        settings: Told of each model; nothing is done once a stop is asked for.

    Returns:
        New trials; none of a model of which a program keeps the latency, or may, on one thread.
    """
    cores, costs = job.machine.cores, {each.name: each for each in candidates}
    if cores < 2 or settings.stop:
        return []
    found, inputs = list[Trial](), job.dataset.validation.inputs
    for name in dict.fromkeys(trial.model.name for trial in trials):
        own = [trial for trial in trials if trial.model.name == name and not trial.unverified]
        if not own or not all(_is_slow(costs[trial.name], job) for trial in own):
            continue
        note = f"too slow on one thread: tried on {cores}"
        settings.report(Step(stage=f"try {name}", done=1, total=1, note=note))
        for trial in own:
            session = open_lowered(trial.program, cores)
            outputs = run_all(session, inputs)
            found.append(replace(trial, session=session, outputs=outputs, threads=cores))
    return found


def _is_slow(candidate: Candidate, job: Job) -> bool:
    """Say whether a candidate surely misses what the budget says of latency."""
    decided = outcomes(candidate, job.budget)
    return any(decided.get(name) == "FAIL" for name in LATENCIES)
