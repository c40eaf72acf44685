"""Measuring the chosen program: on the test split, at length, and in new processes."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from diptych.core.interpreter import python
from diptych.core.progress import Reporter, Step
from diptych.core.values import Dataset
from diptych.fitting.ledger import prediction_energy
from diptych.fitting.trials import Trial, in_turns, new_calls, run_all
from diptych.fitting.verdicts import Evidence, unknown_energy
from diptych.inference.runtimes import RUNTIMES
from diptych.measure.cost import usd_per_million
from diptych.measure.process import probe
from diptych.measure.timing import interleave
from diptych.tasks.goals import kind_of

COLD_RUNS, LATE_RUNS = 6, 2


def gather_evidence(
    trial: Trial, dataset: Dataset, teacher_outputs: np.ndarray, *, calls: int, seconds: float
) -> Evidence:
    """Measure a chosen program afresh.

    Args:
        trial: The choice.
        dataset: Its test split is used, N items.
        teacher_outputs: float32 (N, K), the teacher's.
        calls: How many single predictions to time.
        seconds: When to stop timing.

    Returns:
        The evidence, without new processes.
    """
    test = dataset.test
    if trial.unverified:
        return _unverified(trial, dataset, teacher_outputs)
    run = in_turns(trial.session, test.inputs, every=trial.varies)
    timing = interleave({trial.name: run}, samples=calls, time_limit_s=seconds)[trial.name]
    return Evidence(
        kind=kind_of(dataset),
        targets=test.targets,
        teacher_outputs=teacher_outputs,
        outputs=run_all(trial.session, test.inputs),
        latencies_ms=new_calls(trial, timing.latencies_ms, len(test)),
        size_bytes=trial.size_bytes,
        energy=prediction_energy(timing, trial.program.runtime),
        cost_usd_per_million=usd_per_million(timing.cpu_seconds_per_call),
        on_gpu=RUNTIMES[trial.program.runtime].needs_gpu,
    )


def _unverified(trial: Trial, dataset: Dataset, teacher_outputs: np.ndarray) -> Evidence:
    """Gather what is known of a program that cannot run here."""
    return Evidence(
        kind=kind_of(dataset),
        targets=dataset.test.targets,
        teacher_outputs=teacher_outputs,
        outputs=run_all(trial.session, dataset.test.inputs),
        latencies_ms=np.empty(0),
        size_bytes=trial.size_bytes,
        energy=unknown_energy(trial.unverified),
        cost_usd_per_million=0.0,
        unverified=trial.unverified,
    )


def with_starts(evidence: Evidence, bundle: Path, report: Reporter, late: bool = False) -> Evidence:
    """Load a bundle and predict once in new processes.

    Args:
        evidence: What is known of its program.
        bundle: The bundle's folder.
        report: Told when it begins and ends.
        late: Whether the time is over, so that two processes have to do.

    Returns:
        With the time from the start of each process to its end, and its peak memory.
    """
    report(Step(stage="cold start", done=0, total=1))
    command = python("-m", "diptych.inference.probe", str(bundle))
    figures = probe(command, runs=LATE_RUNS if late else COLD_RUNS)
    report(Step(stage="cold start", done=1, total=1))
    return replace(
        evidence,
        cold_ms=np.asarray(figures.wall_ms),
        memory_bytes=np.asarray(figures.peak_rss_bytes),
    )
