"""Claim: the same seed gives the same weights bit for bit, and a timed fit can be done again.

Hardware: any; printed. n: two trainings with one seed and one with another; one fit under a time
limit and its replay; compared by the SHA-256 of `weights.safetensors`. Source: this script, on the
built-in digits, in new processes.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from conditions import print_conditions


def run(verb: str, out: Path, *options: str) -> str:
    command = [sys.executable, "-m", "diptych", verb, "digits", "--out", str(out), *options]
    code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    if code not in {0, 3}:
        sys.exit(f"{' '.join(command)} ended with code {code}")
    return hashlib.sha256((out / "weights.safetensors").read_bytes()).hexdigest()[:16]


def main() -> None:
    print_conditions()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, again = (run("train", folder / f"train-{i}.dip", "--seed", "1") for i in (1, 2))
        other = run("train", folder / "train-3.dip", "--seed", "2")
        print(f"train, seed 1: {first}\ntrain, seed 1: {again}\ntrain, seed 2: {other}")
        print(f"same seed, same weights: {first == again}; other seed, other: {first != other}")
        timed = folder / "timed.dip"
        digest = run("fit", timed, "--time-limit", "18s")
        recipe = json.loads((timed / "bundle.json").read_text())["provenance"]["recipe"]
        decisions = sum(
            len(plan["training"]["replans"]) for plan in (recipe["teacher"], *recipe["students"])
        )
        replay = run("fit", folder / "replay.dip", "--recipe", str(timed))
        print(
            f"fit in 18 s: {digest}, {decisions} changes of plan recorded\nits replay:   {replay}"
        )
        print(f"the replay gives the same weights: {digest == replay}")


if __name__ == "__main__":
    main()
