"""Claim: none; whether `compiled = true` pays on this processor, and from how many steps on.

The planned teacher and student for Fashion-MNIST, in float32 and in bfloat16, with their batches:
milliseconds of a step as it is and compiled by torch, steps in turn, and the seconds that compiling
takes. Compiled training pays in a run that has more steps than `break-even`.
Compiling is timed with an empty cache, as in a first run on a machine.

It checks too that a compiled network learns what the same network learns uncompiled: the losses of
the first steps, side by side.

Hardware: any with 2 cores and a C++ compiler; printed. n: steps of each, 60 by default, medians and
quartiles. Source: this script.

Usage, from benchmarks/: python -m training.compile [--steps N] [--threads N]
"""

import os
import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace

import torch
from msgspec.structs import replace

from conditions import data_folder, print_conditions
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.aims import objective_of
from diptych.fitting.budget import Budget
from diptych.fitting.building import build
from diptych.fitting.plans import plan_fit
from diptych.fitting.recipe import ModelPlan
from diptych.measure.machine import describe
from diptych.training.compute import compute_threads
from diptych.training.feed import Feed
from diptych.training.stepper import Stepper

FIRST_STEPS = 5
RATE, MOMENTUM = 0.01, 0.9


def steppers(plan: ModelPlan, dataset: Dataset, arithmetic: str) -> dict[str, Stepper]:
    made = {}
    for name in ("eager", "compiled"):
        recipe = replace(plan.training, arithmetic=arithmetic, compiled=name == "compiled")
        network = build(plan, dataset, 0).train()
        made[name] = Stepper(network, recipe, objective_of(dataset, recipe, None))
    return made


def spread(times: list[float]) -> str:
    low, middle, high = (1000 * t for t in statistics.quantiles(times, n=4))
    return f"{middle:.2f} ({low:.2f} to {high:.2f}) ms"


def compare(plan: ModelPlan, dataset: Dataset, arithmetic: str, asked: Namespace) -> None:
    both = steppers(plan, dataset, arithmetic)
    feed = Feed(dataset.train.inputs, plan.training, 0, torch.device("cpu"))
    losses: dict[str, list[float]] = {name: [] for name in both}
    seconds: dict[str, list[float]] = {name: [] for name in both}
    processor: dict[str, list[float]] = {name: [] for name in both}
    with compute_threads(asked.threads):
        for number in range(FIRST_STEPS + asked.steps):
            batch = feed.batch(number)
            for name, stepper in both.items():
                begin, spent = time.perf_counter(), time.process_time()
                losses[name].append(float(stepper.take(batch, RATE, MOMENTUM)))
                seconds[name].append(time.perf_counter() - begin)
                processor[name].append(time.process_time() - spent)
    first = {name: sum(times[:FIRST_STEPS]) for name, times in seconds.items()}
    steady = {name: times[FIRST_STEPS:] for name, times in seconds.items()}
    eager, compiled = (statistics.median(steady[name]) for name in ("eager", "compiled"))
    compiling = first["compiled"] - FIRST_STEPS * compiled
    steps = round(plan.training.epochs * feed.steps_per_epoch)
    gain = eager - compiled
    size = plan.training.batch_size
    print(f"\n{plan.name}, {arithmetic}, {asked.threads} threads, batches of {size}")
    print(f"  eager {spread(steady['eager'])}, compiled {spread(steady['compiled'])}", end=" ")
    print(f"a step, n {asked.steps}: {eager / compiled:.2f}x", flush=True)
    busy = {name: times[FIRST_STEPS:] for name, times in processor.items()}
    print(f"  of the processor: eager {spread(busy['eager'])},", end=" ")
    print(f"compiled {spread(busy['compiled'])}")
    print(f"  compiling {compiling:.1f} s;", end=" ")
    if gain > 0:
        saved = steps * gain - compiling
        print(f"break-even {compiling / gain:.0f} steps of {steps} planned; saves {saved:.0f} s")
    else:
        print("never pays")
    pairs = zip(*(losses[name][:FIRST_STEPS] for name in both), strict=True)
    print("  first losses, eager and compiled:", ", ".join(f"{a:.4f} {b:.4f}" for a, b in pairs))


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    print_conditions()
    dataset = read(data_folder("fashion-mnist"), Options(seed=0))
    recipe = plan_fit(dataset, Budget(), describe(), 0, timed=False)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        for plan in (recipe.teacher, recipe.students[0]):
            for arithmetic in ("fp32", "bf16"):
                compare(plan, dataset, arithmetic, asked)


if __name__ == "__main__":
    main()
