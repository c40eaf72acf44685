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
from diptych.fitting.trainee import Trainee
from diptych.fitting.trials import Trial, open_lowered, run_all

LATENCIES = frozenset(("p50", "p99"))


def try_on_all_cores(
    model: Trainee,
    trials: Sequence[Trial],
    candidates: Sequence[Candidate],
    job: Job,
    settings: Settings,
) -> list[Trial]:
    """Open the programs of a model on all cores, if they are needed.

    Args:
        model: A model that was tried.
        trials: Of all models.
        candidates: What the trials cost.
        job: The budget, the machine, and the data, whose validation split is answered again.
        settings: Told that it is done; not once a stop is asked for.

    Returns:
        New trials; none where a program keeps the latency, or may, on one thread.
    """
    cores, costs = job.machine.cores, {each.name: each for each in candidates}
    own = [t for t in trials if t.model is model and t.threads == 1 and not t.unverified]
    verdicts = [outcomes(costs[trial.name], job.budget) for trial in own]
    slow = [{name for name in LATENCIES if each.get(name) == "FAIL"} for each in verdicts]
    if cores < 2 or not own or not all(slow) or settings.stop:
        return []
    note = f"too slow on one thread: tried on {cores}"
    settings.report(Step(stage=f"try {model.name}", done=1, total=1, note=note))
    sessions = [open_lowered(trial.program, cores) for trial in own]
    inputs = job.dataset.validation.inputs
    return [
        replace(trial, session=session, outputs=run_all(session, inputs), threads=cores)
        for trial, session in zip(own, sessions, strict=True)
    ]
