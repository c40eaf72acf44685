"""Claim: two processes on two cores train no slower than two threads do (not reached: 0.88, 0.96).

Fashion-MNIST with the network of a planned student, or the teacher of a recipe on the data that its
name begins with; whole steps of training, the same global batch. Blocks of steps in turn, in the
same two processes: the first one alone with one thread, alone with two while the other one sleeps,
and both with one thread each. Also printed: what the agreement on each step takes.

Hardware: any with 2 cores, otherwise idle; printed. n: rounds, 10 by default, after one of warm-up;
the median of the ratios of each round and their range. Source: this script.

Usage, from benchmarks/: python -m training.scaling [RECIPE] [--rounds N] [--steps N]
[--work FOLDER], RECIPE a file of recipes/, such as cifar10-94.toml. Rounds of so many steps are
kept in the folder, and a second call goes on from there.
"""

import dataclasses
import json
import statistics
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from conditions import ROOT, data_folder, print_conditions
from diptych.core.progress import Step, StopRequest, silent
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.aims import objective_of
from diptych.fitting.budget import Budget
from diptych.fitting.building import build
from diptych.fitting.plans import plan_fit
from diptych.fitting.plans.machines import for_processor
from diptych.fitting.recipe import ModelPlan, read_recipe
from diptych.measure.machine import describe
from diptych.training.compute import compute_threads
from diptych.training.control import CPU, RunControl
from diptych.training.kept_memory import kept_memory
from diptych.training.process_team import ProcessTeam, join
from diptych.training.run import Run
from diptych.training.supervisor import Job, supervise
from diptych.training.team import SOLO, Team
from diptych.training.worker import Worker, work
from tasks.sets import WORK

PROCESSES = 2
AGREEMENTS = 500
ARMS: dict[str, tuple[int, bool]] = {
    "1 thread": (1, False),
    "2 threads": (2, False),
    "2 processes": (1, True),
}
"""Threads of a process, and whether all processes take part."""


def rate(plan: ModelPlan, dataset: Dataset, steps: int, threads: int, team: Team) -> float:
    """Return the samples per second of so many steps."""
    each_epoch = len(dataset.train) // plan.training.batch_size
    recipe = replace(plan.training, epochs=steps / each_epoch, threads=threads)
    network, objective = build(plan, dataset, 0), objective_of(dataset, recipe, None)
    run = Run(network, dataset, recipe, objective, RunControl(team=team))
    with closing(run), kept_memory(), compute_threads(threads):
        began = time.perf_counter()
        run.go()
        seconds = time.perf_counter() - began
    team.restored(network)
    return run.progress.step * run.feed.batch_size / seconds


def one_round(plan: ModelPlan, dataset: Dataset, steps: int, team: ProcessTeam) -> dict[str, float]:
    """Measure every arm once; all but the first process sleep in what they take no part in."""
    rates = {}
    for name, (threads, together) in ARMS.items():
        team.summed([0.0])  # waits asleep, where an agreement looks at memory without a pause
        if together or team.rank == 0:
            rates[name] = rate(plan, dataset, steps, threads, team if together else SOLO)
    return rates


def agreement_s(team: ProcessTeam) -> float:
    """Return the seconds of one agreement."""
    team.agreed(0)
    began = time.perf_counter()
    for _ in range(AGREEMENTS):
        team.agreed(0)
    return (time.perf_counter() - began) / AGREEMENTS


def task_of(chosen: Namespace) -> Callable[[Worker], object]:
    """Make what each process does: the rounds that are not kept yet."""

    def task(worker: Worker) -> object:
        name = "cifar10" if chosen.recipe.startswith("cifar10") else "fashion-mnist"
        whole = read(data_folder(name), Options(seed=0))
        nothing = dataclasses.replace(
            whole.validation,
            inputs=whole.validation.inputs[:0],
            targets=whole.validation.targets[:0],
            items=(),
        )
        dataset = dataclasses.replace(whole, validation=nothing)
        if chosen.recipe:
            recipe = read_recipe(ROOT / "recipes" / chosen.recipe)
            plan = for_processor(recipe, describe(), CPU, silent).teacher
        else:
            plan = plan_fit(whole, Budget(), describe(), 0, timed=False).students[0]
        rounds = kept(chosen)
        with join(worker.meeting, "cpu") as team:
            one_round(plan, dataset, chosen.steps, team)
            for _ in range(team.agreed(chosen.rounds - len(rounds))):
                rounds.append(one_round(plan, dataset, chosen.steps, team))
                rounds[-1]["agreement_s"] = agreement_s(team)
                if team.rank == 0:
                    file_of(chosen).write_text(json.dumps(rounds, indent=1))
                done = len(rounds)
                worker.report(Step(stage="scaling", done=done, total=chosen.rounds))
        return rounds

    return task


def file_of(chosen: Namespace) -> Path:
    of_recipe = f"-{chosen.recipe}" if chosen.recipe else ""
    return chosen.work / f"scaling{of_recipe}-{chosen.steps}.json"


def kept(chosen: Namespace) -> list[dict[str, float]]:
    file = file_of(chosen)
    return json.loads(file.read_text()) if file.is_file() else []


def show(rounds: list[dict[str, float]]) -> None:
    for name in ARMS:
        rates = [each[name] for each in rounds]
        spread = f"from {min(rates):,.0f} to {max(rates):,.0f}"
        print(f"{name}: {statistics.median(rates):,.0f} samples/s, {spread}, n {len(rates)}")
    for other in ("2 threads", "1 thread"):
        ratios = [each["2 processes"] / each[other] for each in rounds]
        middle = statistics.median(ratios)
        print(f"2 processes / {other}: {middle:.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
    agreements = [1e6 * each["agreement_s"] for each in rounds]
    print(f"an agreement: {statistics.median(agreements):.0f} us, n {len(rounds)} x {AGREEMENTS}")


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--work", type=Path, default=WORK.parent / "training")
    parser.add_argument("--worker", action="store_true")
    chosen = parser.parse_args()
    if chosen.worker:
        return work(task_of(chosen))
    print_conditions()
    chosen.work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "training.scaling", "--worker", "--work", str(chosen.work)]
    command += [chosen.recipe] * bool(chosen.recipe)
    command += ["--rounds", str(chosen.rounds), "--steps", str(chosen.steps)]
    job = Job(command=command, count=PROCESSES, folder=chosen.work)

    def report(step: Step) -> None:
        print(f"round {step.done:g} of {step.total:g} {step.note}", flush=True)

    supervise(job, report, StopRequest())
    show(kept(chosen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
