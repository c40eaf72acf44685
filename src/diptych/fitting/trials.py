"""Candidates tried: lowered programs run on the validation split and timed side by side.

Shapes: N items, K outputs.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diptych.core.progress import Reporter, Step
from diptych.core.seeds import generator
from diptych.core.values import Candidate, Dataset, Energy, Estimate
from diptych.fitting.ledger import prediction_energy
from diptych.fitting.trainee import Trainee, network_of
from diptych.fitting.verdicts import scores, unknown_energy, unmeasured
from diptych.inference.runtimes import RUNTIMES, Session, obstacle, open_session
from diptych.measure.cost import usd_per_million
from diptych.measure.quantiles import quantile
from diptych.measure.scores import drop
from diptych.measure.timing import Timing, interleave
from diptych.targets.lower import LoweredProgram
from diptych.targets.parity import check
from diptych.targets.running import refusals
from diptych.tasks.goals import kind_of
from diptych.training.compute import compute_outputs

BATCH = 64
TIMED_CALLS = 1000
THREADS = 1
PARITY_ITEMS = 256
TURNS = 256


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A lowered program that runs here, and what it answered: `outputs` float32 (N, K).

    `assets_bytes` is the size of the files that its inputs' preparation needs; `threads` are those
    of one call. What cannot run here is `unverified`, for this reason, and its session is that of a
    stand-in.
    """

    model: Trainee
    program: LoweredProgram
    session: Session
    outputs: np.ndarray
    assets_bytes: int = 0
    unverified: str = ""
    threads: int = THREADS

    @property
    def name(self) -> str:
        """A name such as ``student-96 openvino int8 (trained)`` or ``... int8, 2 threads``."""
        name = f"{self.model.name} {self.program.runtime} {self.program.precision}"
        method = "" if self.program.method == "calibrated" else f" ({self.program.method})"
        return name + method + (f", {self.threads} threads" if self.threads > 1 else "")

    @property
    def varies(self) -> bool:
        """Whether some items take far longer than others: a cascade, or second looks."""
        shares = (self.program.passed_on, self.program.second_looks)
        return any(share is not None for share in shares)

    @property
    def size_bytes(self) -> int:
        """The size of the program's files, and of those that preparation needs."""
        return self.assets_bytes + sum(len(data) for data in self.program.contents.values())


def try_programs(
    model: Trainee, programs: Iterable[LoweredProgram], dataset: Dataset, report: Reporter
) -> list[Trial]:
    """Open each program here and run it on the validation split.

    Args:
        model: The model that was lowered.
        programs: Its programs.
        dataset: The data.
        report: Told after each program.

    Returns:
        One trial per program.

    Raises:
        TargetError: If a program in fp32 computes something else than the network, or one cannot
            be opened or run here.
    """
    lowered = list(programs)
    trials = []
    inputs, assets_bytes = dataset.validation.inputs, sum(map(len, dataset.assets.values()))
    reference = compute_outputs(network_of(model), inputs[:PARITY_ITEMS], model.plan.training)
    for done, program in enumerate(lowered, 1):
        session = open_lowered(program)
        with refusals(program.name):
            outputs = run_all(session, inputs)
        check(reference, outputs[:PARITY_ITEMS], program.precision)
        trial = Trial(model=model, program=program, session=session, outputs=outputs)
        reason = unverified(program)
        trials.append(replace(trial, assets_bytes=assets_bytes, unverified=reason))
        stage = f"try {model.name}"
        report(Step(stage=stage, done=done, total=len(lowered), note=program.name))
    return trials


def unverified(program: LoweredProgram) -> str:
    """Say why a program cannot run here, where a stand-in computes the same from its files.

    Args:
        program: The lowered program.

    Returns:
        The reason; ``""`` where it can run, or nothing stands in for it.
    """
    return obstacle(program.runtime) if RUNTIMES[program.runtime].stand_in else ""


def open_lowered(program: LoweredProgram, threads: int = THREADS) -> Session:
    """Open a program that is not on disk.

    Args:
        program: The lowered program.
        threads: Those of one call.

    Returns:
        Its session, or that of its stand-in where it is unverified.

    Raises:
        TargetError: If the runtime cannot open it.
    """
    stand_in = RUNTIMES[program.runtime].stand_in if unverified(program) else ""
    with tempfile.TemporaryDirectory(prefix="diptych-") as folder:
        paths = [Path(folder, name) for name in program.contents]
        for path, content in zip(paths, program.contents.values(), strict=True):
            path.write_bytes(content)
        with refusals():
            return open_session(stand_in or program.runtime, paths, threads)


def run_all(session: Session, inputs: np.ndarray) -> np.ndarray:
    """Run a session on many items.

    Args:
        session: An open session.
        inputs: Raw inputs (N, ...).

    Returns:
        float32 (N, K).
    """
    parts = [session.run(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
    return np.concatenate(parts)


def run_singly(session: Session, inputs: np.ndarray) -> np.ndarray:
    """Run a session on one item at a time, as single predictions do.

    Args:
        session: An open session.
        inputs: Raw inputs (N, ...).

    Returns:
        float32 (N, K).
    """
    return np.concatenate([session.run(inputs[i : i + 1]) for i in range(len(inputs))])


def time_trials(
    trials: Sequence[Trial],
    inputs: np.ndarray,
    *,
    seed: int,
    time_limit_s: float,
    report: Reporter,
    calls: int = TIMED_CALLS,
) -> dict[str, Timing]:
    """Time single predictions of all trials that run here, in alternation.

    Args:
        trials: Any number.
        inputs: Raw inputs (N, ...), of which some take turns.
        seed: Seed of the order.
        time_limit_s: When to stop.
        report: Told how far it is.
        calls: How many of each.

    Returns:
        The timing by the trial's name.
    """
    runs = {t.name: in_turns(t.session, inputs, every=t.varies) for t in trials if not t.unverified}
    if not runs:
        return {}
    return interleave(runs, samples=calls, time_limit_s=time_limit_s, seed=seed, report=report)


def in_turns(session: Session, inputs: np.ndarray, *, every: bool = False) -> Callable[[], object]:
    """Make single predictions of some items in turn, or of all, mixed.

    Args:
        session: An open session.
        inputs: Raw inputs (N, ...), N at least 1.
        every: Whether all take turns, since some take far longer than others.

    Returns:
        What makes the next one.
    """
    places: Iterable[int] = range(0, len(inputs), max(1, len(inputs) // TURNS))
    if every:
        places = generator(0, "timing", "items").permutation(len(inputs)).tolist()
    singles = cycle([np.ascontiguousarray(inputs[i : i + 1]) for i in places])
    return lambda: session.run(next(singles))


def new_calls(trial: Trial, latencies_ms: np.ndarray, num_items: int) -> np.ndarray:
    """Take the calls that say something new: an item that is slow once is slow each time.

    Args:
        trial: What was timed.
        latencies_ms: One per call, in order, (M,).
        num_items: How many items took turns.

    Returns:
        No more than there are items, if the program varies; else all.
    """
    return latencies_ms[:num_items] if trial.varies else latencies_ms


def as_candidate(
    trial: Trial, timing: Timing | None, dataset: Dataset, teacher_outputs: np.ndarray
) -> Candidate:
    """Gather what a trial showed into a row of the leaderboard.

    Args:
        trial: The trial.
        timing: Its timing; None of what cannot run here.
        dataset: The data, on whose validation split it was tried, N items.
        teacher_outputs: float32 (N, K), the teacher's on the same items.

    Returns:
        The candidate.
    """
    targets, kind = dataset.validation.targets, kind_of(dataset)
    right = kind.item_scores(trial.outputs, targets)
    if timing is None:
        costs = _unknown_costs(trial.unverified)
    else:
        latencies_ms = new_calls(trial, timing.latencies_ms, len(targets))
        costs = _costs(timing, trial.program.runtime, latencies_ms)
    return Candidate(
        name=trial.name,
        model=trial.model.name,
        runtime=trial.program.runtime,
        precision=trial.program.precision,
        threads=trial.threads,
        scores=scores(kind, trial.outputs, targets),
        drop=drop(kind.item_scores(teacher_outputs, targets), right),
        p50_ms=costs.p50_ms,
        p99_ms=costs.p99_ms,
        size_bytes=trial.size_bytes,
        energy=costs.energy,
        cost_usd_per_million=costs.cost_usd_per_million,
        parameters=trial.model.parameters,
        flops=trial.model.flops,
        in_float=trial.program.in_float,
        passed_on=trial.program.passed_on,
        second_looks=trial.program.second_looks,
        unverified=trial.unverified,
    )


class _Costs(NamedTuple):
    p50_ms: Estimate
    p99_ms: Estimate
    energy: Energy
    cost_usd_per_million: float


def _costs(timing: Timing, runtime: str, latencies_ms: np.ndarray) -> _Costs:
    return _Costs(
        quantile(latencies_ms, 0.5),
        quantile(latencies_ms, 0.99),
        prediction_energy(timing, runtime),
        usd_per_million(timing.cpu_seconds_per_call),
    )


def _unknown_costs(reason: str) -> _Costs:
    nothing = unmeasured(reason)
    return _Costs(nothing, nothing, unknown_energy(reason), 0.0)
