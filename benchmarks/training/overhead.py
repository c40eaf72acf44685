"""Claim: the training loop costs at most 2 % over a bare PyTorch loop with the same operations.

Fashion-MNIST with the planned teacher, and TREC with its hashed bag of words, whose steps are so
short that whatever the loop adds shows. Both loops have the same network, whole batches drawn by
the same code, arithmetic, loss, optimizer and schedule; ours adds its looks at the loss, the time
and the plan. Checkpoints, one a minute, are timed apart. The bare loop is what a careful user would
write: one generator for all batches, losses kept as tensors and fetched every 20 steps.

Blocks of steps in turn: bare, ours, bare again. What bare differs from bare by is what this machine
cannot tell. Seconds of a block are those of the run without what comes before its first step, of
the wall and of the processor, which others on the machine disturb less. Where the loop makes its
batches in a thread, it takes more of the processor, and may take less time than the bare one.

Hardware: any with 2 cores; printed. n: rounds, 15 by default; the median of the ratios of each
round, with a 95 % bootstrap interval. Source: this script.

Usage, from benchmarks/: python -m training.overhead [--rounds N] [--threads N]
"""

import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from msgspec.structs import replace
from torch import nn
from torch.nn import functional

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
from diptych.training.compute import DTYPES, compute_threads, tensor_of
from diptych.training.control import RunControl
from diptych.training.optimizers import optimizer_of
from diptych.training.recipe import TrainingRecipe
from diptych.training.run import Run
from diptych.training.run_folder import RunFolder
from diptych.training.schedule import rate_factor
from diptych.training.variation import batches_of

SETS = {"fashion-mnist": ("bf16", "fp32"), "trec": ("fp32",)}
STEPS = {"fashion-mnist": 40, "trec": 300}
LOSSES_EVERY = 20
WAITING_LIMIT = 0.03
CHECKPOINTS, CHECKPOINT_S = 5, 60.0
RESAMPLES = 2000


@dataclass
class Bare:
    """The loop that a user would write; it goes on where it was at every call."""

    network: nn.Module
    dataset: Dataset
    recipe: TrainingRecipe
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def __post_init__(self) -> None:
        inputs = tensor_of(self.dataset.train.inputs)
        self.targets = tensor_of(self.dataset.train.targets)
        self.batches = batches_of(inputs, self.recipe.variation, self.generator)
        self.optimizer = optimizer_of(self.network.train(), self.recipe)

    def go(self, steps: int) -> np.ndarray:
        recipe, losses = self.recipe, []
        bf16, size = recipe.arithmetic == "bf16", recipe.batch_size
        begin = clocks()
        order = torch.randperm(len(self.targets), generator=self.generator)
        for step in range(steps):
            place = step * size % (len(order) - size)
            chosen = order[place : place + size]
            batch = self.batches.draw(chosen, 0, self.generator)
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                outputs = self.network(batch)
            smoothing = recipe.label_smoothing
            loss = functional.cross_entropy(
                outputs.float(), self.targets[chosen], label_smoothing=smoothing
            )
            loss.backward()
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.learning_rate * rate_factor(step / steps, recipe.warmup_share)
            if recipe.clip:
                nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
            self.optimizer.step()
            losses.append(loss.detach())
            if len(losses) == LOSSES_EVERY:
                torch.stack(losses).tolist()
                losses.clear()
        return since(begin)


def ours(
    network: nn.Module, dataset: Dataset, recipe: TrainingRecipe, steps: int
) -> tuple[np.ndarray, float]:
    """Return the clocks' seconds of a run of so many steps, and those it waited for data."""
    epochs = steps / (len(dataset.train) // recipe.batch_size)
    objective = objective_of(dataset, recipe, None)
    run = Run(network, dataset, replace(recipe, epochs=epochs), objective, RunControl())
    with closing(run):
        begin = clocks()
        run.go()
        return since(begin), run.waited_seconds


def checkpoint_seconds(network: nn.Module, dataset: Dataset, recipe: TrainingRecipe) -> float:
    """Return the median seconds that keeping a checkpoint takes, once every minute."""
    objective, seconds = objective_of(dataset, recipe, None), []
    with tempfile.TemporaryDirectory() as path, closing(RunFolder(Path(path), print)) as folder:
        control = RunControl(folder=folder)
        with closing(Run(network, dataset, recipe, objective, control)) as run:
            for _ in range(CHECKPOINTS):
                begin = time.perf_counter()
                run.save()
                seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def clocks() -> np.ndarray:
    """Return the seconds of the wall and of the processor, (2,)."""
    return np.array((time.perf_counter(), time.process_time()))


def since(begin: np.ndarray) -> np.ndarray:
    return clocks() - begin


def without_validation(dataset: Dataset) -> Dataset:
    """Leave out what the bare loop does not do: scoring after each epoch."""
    from dataclasses import replace as replace_fields

    split = dataset.validation
    none = replace_fields(split, inputs=split.inputs[:0], targets=split.targets[:0], items=())
    return replace_fields(dataset, validation=none)


def interval(ratios: list[float]) -> tuple[float, float]:
    drawn = np.random.default_rng(0).choice(ratios, (RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(low), float(high)


def told(name: str, ratios: list[float]) -> str:
    low, high = interval(ratios)
    median = statistics.median(ratios)
    quartiles = statistics.quantiles(ratios, n=4)
    spread = f"quartiles {quartiles[0]:.4f} and {quartiles[2]:.4f}"
    return f"  {name}: {median:.4f} ({low:.4f} to {high:.4f}), {spread}, n {len(ratios)}"


def compare(name: str, plan: ModelPlan, dataset: Dataset, asked: Namespace) -> None:
    recipe, steps = plan.training, STEPS[name]
    nets = [build(plan, dataset, 0) for _ in range(2)]
    bare, rounds, waited, spent = Bare(nets[0], dataset, recipe), [], 0.0, 0.0
    with compute_threads(recipe.threads):
        for number in range(1 + asked.rounds):
            first = bare.go(steps)
            mine, waiting = ours(nets[1], dataset, recipe, steps)
            second = bare.go(steps)
            if number:
                rounds.append((first, mine, second))
                waited, spent = waited + waiting, spent + mine[0]
        kept = checkpoint_seconds(nets[1], dataset, recipe)
    step_ms = 1000 * statistics.median(first[0] for first, _, _ in rounds) / steps
    print(f"\n{name}, {recipe.arithmetic}, {recipe.threads} threads, batches of", end=" ")
    print(f"{recipe.batch_size}, blocks of {steps} steps, {step_ms:.3f} ms a bare step")
    for clock, which in enumerate(("wall", "processor")):
        print(told(f"ours / bare, {which}", [2 * m[clock] / (a + b)[clock] for a, m, b in rounds]))
        print(told(f"bare / bare, {which}", [b[clock] / a[clock] for a, _, b in rounds]))
    print(f"  waiting for data: {100 * waited / spent:.2f} % of the time (limit", end=" ")
    print(f"{100 * WAITING_LIMIT:.0f} %); a checkpoint: {1000 * kept:.1f} ms,", end=" ")
    print(f"{100 * kept / CHECKPOINT_S:.2f} % of the time at one a minute", flush=True)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)} [all]")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    print_conditions()
    for name in asked.sets or SETS:
        dataset = without_validation(read(data_folder(name), Options(seed=0)))
        plan = plan_fit(dataset, Budget(), describe(), 0, timed=False).teacher
        for arithmetic in SETS[name]:
            assert arithmetic in DTYPES
            threads = min(asked.threads, plan.training.threads)
            training = replace(plan.training, arithmetic=arithmetic, threads=threads)
            compare(name, replace(plan, training=training), dataset, asked)


if __name__ == "__main__":
    main()
