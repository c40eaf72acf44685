"""Claim: `diptych train` needs less time to 93.0 % on Fashion-MNIST than what people use instead.

Ours follows recipes/fashion-mnist-93.toml. At least 5x less than PyTorch Lightning with a
DataLoader, a ResNet-18, Adam and OneCycleLR; at least 2x less than Keras 3 on JAX and than Hugging
Face Trainer, which both train our network with the recipe that is usual here, as far as theirs
goes: where not is said in `training.peer_keras` and `training.peer_trainer`. Beside them
`diptych-usual` is ours with that recipe, and `trainer-short` is Trainer with ours but for Muon,
which it does not have: what is due to the engine, and what to the recipe.

Ours and, but for Keras, the others compute in bfloat16 where the processor has it, in float32
elsewhere.
All train on the 60,000 training pictures and are scored on the 10,000 test pictures after each
epoch; the first score that reaches the target ends a run. For that our validation split is
the test split here, so no score of these runs is one of pictures that were never looked at. Seconds
are of the wall: from data in memory to that score, compiling, workers' starts and scoring included;
importing and reading are not. A peer is stopped at `--give-up` times our mean and then counted as
`more than`; one that ends its epochs below the target as `never`.

Hardware: any with 2 cores, otherwise idle; printed and kept. n: seeds 0, 1 and 2; in each seed's
turn the racers follow each other, in another order each time. Source: this script, which makes a
virtual environment for each peer with the versions below.

Usage, from benchmarks/: python -m training.time_to_accuracy [RACER ...] [--seeds SEED ...]
[--give-up TIMES] [--work FOLDER] [--try]. A run that is finished is not run again, but for one of
another machine and one that was stopped before the limit of now.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from conditions import ROOT, data_folder, print_conditions
from diptych.fitting.plans.machines import fast_arithmetic
from diptych.measure.machine import describe
from environments import interpreter
from tasks.sets import WORK

TARGET, THREADS = 0.93, 2
TRIAL_ITEMS = 1280
IMPORTING_S = 60.0
ENVIRONMENTS = {
    "lightning": ("lightning==2.6.6", "torch==2.13.0", "numpy==2.4.6"),
    "keras": ("keras==3.15.1", "jax[cpu]==0.10.2", "numpy==2.4.6"),
    "trainer": (
        "transformers==5.23.0",
        "accelerate==1.15.0",
        "torch==2.13.0",
        "numpy==2.4.6",
        "msgspec==0.22.0",
        "pillow==13.0.0",
    ),
}


@dataclass(frozen=True)
class Racer:
    """A module to run, in its environment (ours without one), and how many times ours it takes."""

    module: str
    environment: str = ""
    variant: str = "usual"
    claim: float = 0.0


OURS = "diptych"
RACERS = {
    OURS: Racer("racer_ours", variant="short"),
    "diptych-usual": Racer("racer_ours", variant="usual"),
    "keras": Racer("peer_keras", "keras", claim=2.0),
    "trainer": Racer("peer_trainer", "trainer", claim=2.0),
    "trainer-short": Racer("peer_trainer", "trainer", variant="short"),
    "lightning": Racer("peer_lightning", "lightning", "small-stem", 5.0),
    "lightning-first-stem": Racer("peer_lightning", "lightning", "first-stem", 5.0),
}


def surroundings(threads: int) -> dict[str, str]:
    paths = os.pathsep.join((str(ROOT / "benchmarks"), str(ROOT / "src")))
    count = str(threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**os.environ, "PYTHONPATH": paths, **dict.fromkeys(names, count)}


def race(name: str, seed: int, limit: float | None, asked: Namespace) -> dict[str, object]:
    """Run a racer to its end, or to the limit in seconds of training; return what it told."""
    racer = RACERS[name]
    threads = 1 if asked.trial else THREADS
    python, own = Path(sys.executable), racer.environment
    if own:
        python = interpreter(asked.work / f"env-{own}", ENVIRONMENTS[own])
    words: list[object] = [python, "-m"]
    words += [f"training.{racer.module}", data_folder("fashion-mnist")]
    words += ["--seed", seed, "--target", TARGET, "--threads", threads]
    words += ["--variant", racer.variant, "--items", TRIAL_ITEMS if asked.trial else 0]
    words += ["--bf16"] if fast_arithmetic(describe()) == "bf16" else []
    log = asked.work / f"{name}-{seed}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(word) for word in words],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=surroundings(threads),
            text=True,
            start_new_session=True,
        )
        curve, stopped = followed(process, limit)
    if process.returncode and not stopped:
        sys.exit(f"{name} failed; see {log}")
    reached = [point["seconds"] for point in curve if point["score"] >= TARGET]
    seconds = reached[0] if reached else limit if stopped else curve[-1]["seconds"]
    outcome = "reached" if reached else "more than" if stopped else "never"
    return {"racer": name, "seed": seed, "outcome": outcome, "seconds": seconds, "curve": curve}


def followed(process: subprocess.Popen, limit: float | None) -> tuple[list[dict], bool]:
    """Read what a racer tells; end it, with its workers, once it has trained longer than allowed.

    Returns:
        The scores, and whether it was ended.
    """
    stopped = False
    try:
        output, _ = process.communicate(timeout=None if limit is None else limit + IMPORTING_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, stopped = process.communicate()[0], True
    lines = [line for line in output.splitlines() if line.startswith('{"seconds"')]
    return [json.loads(line) for line in lines], stopped


def result(name: str, seed: int, limit: float | None, asked: Namespace) -> dict:
    """Return what a run reached; it is run where it has not been yet."""
    if asked.trial:
        return race(name, seed, limit, asked)
    done, machine = asked.work / f"{name}-{seed}.json", describe()
    here = {"machine": f"{machine.cpu}, {machine.cores} cores"}
    here |= {"arithmetic": fast_arithmetic(machine)}
    if not done.is_file() or not counts(json.loads(done.read_text()), here, limit):
        found = race(name, seed, limit, asked) | here | {"versions": machine.versions}
        found |= {"environment": ENVIRONMENTS.get(RACERS[name].environment, ())}
        found |= {"load": os.getloadavg()[0], "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}"}
        done.write_text(json.dumps(found, indent=1) + "\n")
    return json.loads(done.read_text())


def counts(kept: dict, here: dict[str, str], limit: float | None) -> bool:
    """Say whether a kept run is of this machine, and was not stopped before today's limit."""
    short = kept["outcome"] == "more than" and (limit is None or limit > kept["seconds"])
    return not short and here.items() <= kept.items()


def told(name: str, runs: list[dict], ours: list[dict]) -> str:
    """Return a racer's row: its seconds by seed, their mean and spread, the ratio to ours."""
    seconds = [run["seconds"] for run in runs]
    mean, mine = statistics.mean(seconds), statistics.mean(run["seconds"] for run in ours)
    spread = statistics.stdev(seconds) if len(seconds) > 1 else 0.0
    outcomes = [run["outcome"] for run in runs]
    mark = "> " if set(outcomes) != {"reached"} else ""
    best = ", ".join(f"{100 * max((p['score'] for p in r['curve']), default=0):.2f}" for r in runs)
    each = ", ".join(f"{run['outcome']} {run['seconds']:.0f}" for run in runs)
    ratio, claim = mean / mine, RACERS[name].claim
    verdict = f"{mark}{ratio:.2f}" + (f" (claim {claim:g})" if claim else "")
    return f"| {name} | {each} | {mark}{mean:.0f} +- {spread:.0f} | {best} | {verdict} |"


def finished(asked: Namespace) -> dict[str, list[dict]]:
    """Run what has not been run, seed by seed, and return all by racer."""
    runs: dict[str, list[dict]] = {name: [] for name in (OURS, *asked.racers)}
    for turn, seed in enumerate(asked.seeds):
        names = list(runs)
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            mine = [run["seconds"] for run in runs[OURS]]
            limit = asked.give_up * statistics.mean(mine) if name != OURS else None
            run = result(name, seed, None if asked.trial else limit, asked)
            runs[name].append(run)
            print(f"seed {seed}, {name}: {run['outcome']} {run['seconds']:.1f} s", flush=True)
    return runs


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("racers", nargs="*", metavar="RACER", help=f"of {', '.join(RACERS)} [all]")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2), metavar="SEED")
    parser.add_argument("--give-up", type=float, default=6.0, metavar="TIMES")
    parser.add_argument("--work", type=Path, default=WORK.parent / "training" / "time-to-accuracy")
    parser.add_argument("--try", dest="trial", action="store_true", help="a few steps, one thread")
    asked = parser.parse_args()
    if unknown := set(asked.racers) - set(RACERS):
        parser.error(f"there is no racer {', '.join(sorted(unknown))}")
    asked.racers = [name for name in asked.racers or RACERS if name != OURS]
    asked.work = asked.work.absolute()
    asked.work.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    print_conditions()
    print(f"load of the machine at the start: {os.getloadavg()[0]:.1f}\n")
    runs = finished(asked)
    print("\n| | seconds by seed | mean and spread | best score, % | times ours |")
    print("|---|---|---|---|---|")
    for name, found in runs.items():
        print(told(name, found, runs[OURS]))


if __name__ == "__main__":
    main()
