"""Claim: every optimizer learns at the rate that it finds by itself, and none is thrice as slow.

Fashion-MNIST, the network of a planned student, 2 epochs, without variation of pictures. For each
optimizer: validation accuracy at the found rate, over the seeds; on the first seed also at thirds
and threefolds of it, which says how near the found rate is to the best; seconds per step, steps of
all optimizers in turn.

Hardware: any, otherwise idle; printed. n: 3 seeds; 40 timed steps each, after warm-up.
Source: this script; the official training split, of which 5,000 pictures validate.

Usage, from benchmarks/: python -m training.optimizers [--work FOLDER]. What is done is kept in the
folder, and a second call goes on from there.
"""

import json
import statistics
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace

from conditions import data_folder, print_conditions
from diptych.core.errors import TrainingError
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
from diptych.training.loop import RunControl, train_network
from diptych.training.optimizers import OPTIMIZERS
from diptych.training.recipe import TrainingRecipe
from diptych.training.stepper import Stepper
from tasks.sets import WORK

SEEDS = (0, 1, 2)
FACTORS = (1 / 9, 1 / 3, 3.0, 9.0)
EPOCHS = 2.0
WARMUP_STEPS, TIMED_STEPS = 10, 40
DECAYS = {"sgd": 5e-4}
DECAY = 1e-3


def recipe_of(plan: ModelPlan, optimizer: str, rate: float | None) -> TrainingRecipe:
    decay = DECAYS.get(optimizer, DECAY)
    recipe = replace(plan.training, epochs=EPOCHS, optimizer=optimizer, variation=None)
    return replace(recipe, learning_rate=rate, weight_decay=decay)


def trained(
    plan: ModelPlan, dataset: Dataset, recipe: TrainingRecipe, seed: int
) -> dict[str, float]:
    """Return the rate and the accuracy; 0 where the loss exploded."""
    network, objective = build(plan, dataset, seed), objective_of(dataset, recipe, None)
    try:
        result = train_network(network, dataset, recipe, objective, RunControl(seed=seed))
    except TrainingError:
        return {"rate": recipe.learning_rate or 0.0, "accuracy": 0.0}
    rate, accuracy = result.recipe.learning_rate, result.curve[-1].score
    return {"rate": rate or 0.0, "accuracy": accuracy or 0.0}


def step_times(plan: ModelPlan, dataset: Dataset) -> dict[str, float]:
    """Return the median seconds of a step by optimizer, in turn."""
    steppers = {}
    for name in OPTIMIZERS:
        recipe = recipe_of(plan, name, 1e-3)
        objective = objective_of(dataset, recipe, None)
        steppers[name] = Stepper(build(plan, dataset, 0).train(), recipe, objective)
    feed = Feed(dataset.train.inputs, recipe, 0, torch.device("cpu"))
    seconds: dict[str, list[float]] = {name: [] for name in OPTIMIZERS}
    with compute_threads(plan.training.threads):
        for number in range(WARMUP_STEPS + TIMED_STEPS):
            batch = feed.batch(number)
            for name, stepper in steppers.items():
                begin = time.perf_counter()
                stepper.take(batch, 1e-3, 0.9)
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times[WARMUP_STEPS:]) for name, times in seconds.items()}


class Kept:
    """Results by what they are of, in a JSON file that is written after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}

    def get(self, key: str, compute: Callable[[], Any]) -> Any:
        if key not in self.rows:
            self.rows[key] = compute()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.rows, indent=1))
        return self.rows[key]


def compare(name: str, plan: ModelPlan, dataset: Dataset, kept: Kept) -> None:
    """Print the row of an optimizer."""

    def run(rate: float | None, seed: int, note: str) -> dict[str, float]:
        recipe = recipe_of(plan, name, rate)
        return kept.get(f"{name} {seed} {note}", lambda: trained(plan, dataset, recipe, seed))

    runs = [run(None, seed, "found") for seed in SEEDS]
    scores = [100 * run["accuracy"] for run in runs]
    rates = ", ".join(f"{run['rate']:.3g}" for run in runs)
    spread = statistics.stdev(scores)
    print(f"{name}: accuracy {statistics.mean(scores):.2f} +- {spread:.2f} %, n {len(scores)}")
    print(f"  rates found {rates}; accuracy at multiples of the first, seed {SEEDS[0]}:")
    for factor in FACTORS:
        near = run(factor * runs[0]["rate"], SEEDS[0], f"x {factor:.3g}")
        print(f"    x {factor:.2f} ({near['rate']:.3g}): {100 * near['accuracy']:.2f} %")
    print(f"    x 1.00 ({runs[0]['rate']:.3g}): {scores[0]:.2f} %")


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=WORK.parent / "training")
    folder = parser.parse_args().work
    print_conditions()
    dataset = read(data_folder("fashion-mnist"), Options(seed=0))
    recipe = plan_fit(dataset, Budget(), describe(), 0, timed=False)
    plan, kept = recipe.students[0], Kept(folder / "optimizers.json")
    print(f"\n{plan.network}\n{len(dataset.train)} pictures, {EPOCHS:g} epochs")
    for name, seconds in kept.get("seconds per step", lambda: step_times(plan, dataset)).items():
        print(f"{name}: {1000 * seconds:.1f} ms per step of {plan.training.batch_size}")
    for name in OPTIMIZERS:
        compare(name, plan, dataset, kept)


if __name__ == "__main__":
    main()
