"""Claim: of 20 kills of a process of two, at random moments of a training, 20 are recovered from.

Each time one of the processes starts 3 s later than the other, which makes torchrun's restarts hang
(a store of addresses is shared by attempts there). A kill is recovered from if one restart brings
the training past it; at the end the weights are those of a training that nobody disturbed, bit for
bit. The seconds are from the kill to the first step that is told of after it.

Hardware: any; printed. n: 20 kills, drawn from the seed; the median and the range are printed.
Source: this script; a small residual network and pictures of noise.

Usage, from benchmarks/: python -m training.kills [--kills 20] [--sharded]. With
`--sharded` each process holds a half of the weights, and writes that half of a checkpoint.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from conditions import print_conditions
from diptych.core.progress import Step, StopRequest, silent
from diptych.training.supervisor import Job, supervise

PROGRAM = Path(__file__).parents[2] / "tests" / "training" / "team_program.py"
STEPS_BETWEEN = 60
STEPS_PER_EPOCH = 10
LATE_S = 3.0


class Watch:
    """Times each restart, and counts those after each kill."""

    def __init__(self, folder: Path, kills: int) -> None:
        self.markers = [folder / f"killed-{number}" for number in range(kills)]
        self.restarts = [0] * kills
        self.seconds: list[float | None] = [None] * kills
        self.farthest = 0.0

    def report(self, step: Step) -> None:
        last = sum(marker.exists() for marker in self.markers) - 1
        if step.stage == "restart":
            print(f"{last + 1:2}  {step.note}", flush=True)
            self.restarts[last] += 1
            return
        if last >= 0 and self.seconds[last] is None and self.restarts[last]:
            self.seconds[last] = time.time() - self.markers[last].stat().st_mtime

    def recovered(self) -> list[float]:
        pairs = zip(self.seconds, self.restarts, strict=True)
        return [seconds for seconds, restarts in pairs if seconds is not None and restarts == 1]


def job(folder: Path, name: str, epochs: int, mischief: dict[str, Any], *, sharded: bool) -> Job:
    recipe = {"epochs": epochs, "optimizer": "adamw", "learning_rate": 0.003, "averaging": 0.9}
    asked = {
        "supervised": True,
        "recipe": recipe,
        "dropout": 0.2,
        "every_s": 0.2,
        "folder": str(folder / name),
        "out": str(folder / f"{name}.safetensors"),
        "mischief": mischief,
        "sharded": sharded,
    }
    command = [sys.executable, str(PROGRAM), json.dumps(asked)]
    return Job(command=command, count=2, folder=folder / name, silence_s=60.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--sharded", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    print_conditions()
    draw = random.Random(chosen.seed)
    events = [
        {
            "rank": draw.randrange(2),
            "step": STEPS_BETWEEN * number + draw.randrange(1, STEPS_BETWEEN),
            "kind": "kill",
            "after_s": draw.uniform(0.01, 0.5),
        }
        for number in range(1, chosen.kills + 1)
    ]
    epochs = STEPS_BETWEEN * (chosen.kills + 3) // STEPS_PER_EPOCH
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mischief = {"events": events, "marker": str(folder / "killed"), "late_rank": 1}
        watch = Watch(folder, chosen.kills)
        started = time.time()
        supervise(
            job(folder, "killed", epochs, mischief | {"late_s": LATE_S}, sharded=chosen.sharded),
            watch.report,
            StopRequest(),
        )
        number, took_s = sum(m.exists() for m in watch.markers), time.time() - started
        print(f"killed {number} times in {took_s:.0f} s")
        supervise(job(folder, "whole", epochs, {}, sharded=chosen.sharded), silent, StopRequest())
        ours, theirs = (load_file(folder / f"{n}.safetensors") for n in ("killed", "whole"))
        same = all(torch.equal(ours[key], theirs[key]) for key in theirs)
    seconds = watch.recovered()
    print("seconds:", " ".join(f"{value:.1f}" for value in seconds))
    if seconds:
        middle = statistics.median(seconds)
        print(f"median {middle:.1f} s, from {min(seconds):.1f} to {max(seconds):.1f} s")
    print(f"recovered {len(seconds)}/{chosen.kills}; the weights are the same: {same}")


if __name__ == "__main__":
    main()
