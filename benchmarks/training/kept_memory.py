"""Claim: keeping the memory that a step frees makes steps on a processor a tenth faster.

Steps of the planned teacher and student for CIFAR-10 and of the recipe for few bytes, batches of
256, with the memory of a step kept for the next one (training/kept_memory.py) and given back to the
system. Each block of steps is a process of its own, since the C library does not forget a setting.

Hardware: Linux with glibc, otherwise idle; printed. n: rounds of one block each way, 8 by default;
the median of the ratios of each round, with the least and the largest. Source: this script.

Usage, from benchmarks/: python -m training.kept_memory [--rounds N] [--threads N]
"""

import json
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser
from contextlib import nullcontext

import torch
from msgspec.structs import replace
from torch import nn

from conditions import ROOT, print_conditions
from diptych.core.specs import ImageSpec
from diptych.fitting.plans.image import STUDENT, teacher_network
from diptych.fitting.recipe import read_recipe
from diptych.training.compute import compute_threads
from diptych.training.feed import Batch
from diptych.training.kept_memory import kept_memory
from diptych.training.models import NETWORKS
from diptych.training.objectives import learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.stepper import Stepper

PICTURES, CLASSES, BATCH = ImageSpec(height=32, width=32, channels=3), 10, 256
FIRST_STEPS, STEPS, RATE, MOMENTUM = 5, 20, 0.01, 0.9
WAYS = {"kept": kept_memory, "given": nullcontext}
KINDS = [(name, how) for name in ("teacher", "student", "tiny") for how in ("bf16", "fp32")]


def network_called(name: str) -> nn.Module:
    tiny = read_recipe(ROOT / "recipes" / "cifar10-tiny.toml").students[0].network
    config = {"teacher": teacher_network(PICTURES), "student": STUDENT, "tiny": tiny}[name]
    made: nn.Module = NETWORKS[type(config)](config, PICTURES, CLASSES)
    return made.train()


def block(name: str, how: str, way: str, threads: int) -> float:
    """Train for a few steps; return milliseconds of one."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (BATCH, 32, 32, 3), dtype=torch.uint8)
    targets = torch.randint(0, CLASSES, (BATCH,))
    recipe = replace(TrainingRecipe(batch_size=BATCH), arithmetic=how)
    learn = learn_labels("classification", targets, label_smoothing=0.0)
    batch = Batch(inputs=pixels, chosen=torch.arange(BATCH))
    with WAYS[way](), compute_threads(threads):
        stepper = Stepper(network_called(name), recipe, learn)
        times = []
        for _ in range(FIRST_STEPS + STEPS):
            begin = time.perf_counter()
            float(stepper.take(batch, RATE, MOMENTUM))
            times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times[FIRST_STEPS:])


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--block", nargs=3)
    asked = parser.parse_args()
    if asked.block:
        print(json.dumps(block(*asked.block, asked.threads)))
        return
    print_conditions()
    for name, how in KINDS:
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(asked.rounds):
            for way, found in times.items():
                command = [sys.executable, "-m", "training.kept_memory", "--block", name, how, way]
                command += ["--threads", str(asked.threads)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found.append(json.loads(done.stdout))
        ratios = [kept / given for kept, given in zip(*times.values(), strict=True)]
        kept, given = (statistics.median(found) for found in times.values())
        print(
            f"{name}, {how}: a step takes {kept:.1f} ms with its memory kept, {given:.1f} without: "
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}, "
            f"n {asked.rounds})",
            flush=True,
        )


if __name__ == "__main__":
    main()
