"""Claim: real data and a budget in, a passing bundle out, within the time limit on 2 cores.

Fashion-MNIST from its idx files, `drop<=1%, p99<=1ms, size<=300KB`, 25 minutes: PASS with a
teacher of at least 93.0 %. CIFAR-10 from Parquet, 25 minutes: a bundle of at least 88 %.

Hardware: any with 2 cores; printed. n: 10,000 test items each, one seed per run (give others on
the command line). Source: this script; the official test splits, which train nothing.

Usage: fit_real_data.py [fashion-mnist|cifar10] [SEED] [FOLDER to keep the bundle in]
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conditions import data_folder, print_conditions

JOBS = {
    "fashion-mnist": ("drop<=1%, p99<=1ms, size<=300KB", 25),
    "cifar10": ("accuracy>=88%, p99<=2ms, size<=2MB", 25),
}


def run(name: str, seed: str, keep: str | None) -> None:
    budget, minutes = JOBS[name]
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(keep or temporary, f"{name}-{seed}.dip")
        command = [sys.executable, "-m", "diptych", "fit", str(data_folder(name)), "--json"]
        command += ["--budget", budget, "--time-limit", f"{minutes}m", "--seed", seed]
        shutil.rmtree(out.with_suffix(".fit"), ignore_errors=True)  # seconds are of a whole fit
        begin = time.monotonic()
        output = subprocess.run([*command, "--out", str(out)], stdout=subprocess.PIPE)
        seconds = time.monotonic() - begin
    if output.returncode not in {0, 3}:
        sys.exit(f"fit ended with code {output.returncode}")
    result = json.loads(output.stdout)
    teacher, model = result["teacher"], result["model"]
    print(f"\n{name}, seed {seed}: {result['verdict']} for {budget!r}")
    print(f"  time {seconds:.0f} s, {seconds / (60 * minutes):.3f} of the limit")
    for who in (teacher, model):
        bounds = f"{100 * who['accuracy_low']:.2f} to {100 * who['accuracy_high']:.2f}"
        print(f"  {who['name']}: accuracy {100 * who['accuracy']:.2f} % ({bounds}, n {who['n']})")
    print(f"  {model['name']}: {model['runtime']} {model['precision']}, {model['size_bytes']} B,")
    print(f"    p50 {model['p50_ms']:.4f} ms, p99 {model['p99_ms']:.4f} ms, one thread, batch 1")
    for term in result["terms"]:
        interval = f"{bound(term['low'])} to {bound(term['high'])}, n {term['n']}"
        print(f"  {term['name']}: {term['value']:.5g} ({interval}): {term['verdict']}")


def bound(value: float | None) -> str:
    """Write an end of an interval; JSON has no number for none."""
    return "unbounded" if value is None else f"{value:.5g}"


def main() -> None:
    print_conditions()
    names = sys.argv[1:2] or list(JOBS)
    for name in names:
        run(name, (sys.argv[2:3] or ["0"])[0], (sys.argv[3:4] or [None])[0])


if __name__ == "__main__":
    main()
