"""Claim: `diptych train` reaches 94 % of CIFAR-10's test pictures in less than 60 minutes, 2 cores.

Each seed is a training of its own by a recipe of recipes/, on 49,000 of the 50,000 training
pictures; 1,000 are scored after each epoch, which chooses nothing. The seconds are those of the
training, its scores included; reading the pictures, and lowering and measuring the program
afterwards, are not.

Hardware: any with 2 cores, otherwise idle; printed and kept in each bundle. n: seeds 0, 1 and 2,
one after the other. Source: this script; the official splits.

Usage, from benchmarks/: python -m training.cifar10 [--recipe FILE] [--seeds SEED ...]
[--target SHARE] [--work FOLDER]. What is trained is kept in the folder; a training that was
interrupted goes on, and then its seconds are no figure where the machine had other work.
"""

import statistics
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

from conditions import ROOT, data_folder, print_conditions
from diptych.core.manifest import Manifest
from diptych.inference import store
from tasks.sets import WORK

VALIDATION_ITEMS = 1000


def trained(recipe: Path, seed: int, work: Path) -> Manifest:
    """Return what is in the bundle of a seed, which is trained where it is not there."""
    out = work / f"{recipe.stem}-{seed}.dip"
    run = out.with_suffix(".run")
    if not out.is_dir():
        words = ["--recipe", str(recipe), "--seed", str(seed)]
        words += ["--validation-items", str(VALIDATION_ITEMS), "--run", str(run)]
        begun = any(run.glob("checkpoint-*"))
        asked = ["--resume", str(run)] if begun else [str(data_folder("cifar10")), *words]
        command = [sys.executable, "-m", "diptych", "train", *asked, "--out", str(out)]
        subprocess.run(command, check=True)
    return store.read(out)[0]


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "cifar10-94.toml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--target", type=float, default=0.94)
    parser.add_argument("--work", type=Path, default=WORK.parent / "training")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    print_conditions()
    print(f"{chosen.recipe.name}, target {chosen.target:.1%}")
    scores, minutes = [], []
    for seed in chosen.seeds:
        manifest = trained(chosen.recipe.resolve(), seed, chosen.work)
        score, took = manifest.model.score.value, manifest.training.seconds / 60
        print(f"seed {seed}: {score:.2%} in {took:.1f} min, {manifest.machine.cpu}", flush=True)
        scores.append(score)
        minutes.append(took)
    mean, low, high = statistics.mean(scores), min(minutes), max(minutes)
    print(f"mean {mean:.2%}: {'reached' if mean >= chosen.target else 'not reached'}")
    if len(scores) > 1:
        print(f"standard deviation of a seed: {100 * statistics.stdev(scores):.2f} points")
    print(f"minutes: mean {statistics.mean(minutes):.1f} ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
