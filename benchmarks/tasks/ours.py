"""Claim: within its time limit on 2 cores, a bundle for each kind of data reaches the budget below.

spoken-digits >= 98.5 % in 5 minutes, <= 100 KB, p99 <= 1 ms for 1 s of sound; sst2 from scratch
>= 83 % in 10, p99 <= 0.5 ms; trec >= 90 % in 5 (not reached: 89.67 %); adult AUROC >= 0.925 in 5,
p99 <= 0.2 ms; california-housing in 5, RMSE no larger than HistGradientBoosting's.

Hardware: any with 2 cores, otherwise idle; printed and kept. n: the whole test split, which trains
nothing; seeds 0, 1 and 2; single calls of `bundle.predict` on the raw item, one thread.
Source: this script.

Usage, from benchmarks/: python -m tasks.ours [SET ...] [--seeds SEED ...] [--work FOLDER]. A seed
that is finished is not run again.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import numpy as np

import diptych
from conditions import print_conditions
from diptych.measure.machine import describe
from diptych.measure.quantiles import quantile
from diptych.tasks.prediction import Prediction
from tasks.lane import block
from tasks.sets import SCORES, SETS, arguments, classes, folder, one_second, test_split

CALLS, SECONDS = 2000, 60


def place(name: str, seed: int, work: Path) -> Path:
    """Return the folder of a seed: `bundle.dip`, `answers.npy` and, last of all, `result.json`."""
    return work / "ours" / name / str(seed)


def fit(name: str, seed: int, work: Path) -> dict[str, object]:
    task, out = SETS[name], place(name, seed, work)
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "diptych", "fit", str(folder(name, work)), "--json"]
    command += ["--budget", task.budget, "--time-limit", f"{task.minutes}m", "--seed", str(seed)]
    command += ["--out", str(out / "bundle.dip"), *(["--label", task.label] if task.label else [])]
    shutil.rmtree(out / "bundle.fit", ignore_errors=True)  # seconds are of a whole fit
    begin = time.monotonic()
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if output.returncode not in {0, 3}:
        sys.exit(f"fit ended with code {output.returncode}")
    return {"fit_seconds": round(time.monotonic() - begin, 1), **json.loads(output.stdout)}


def answers(name: str, data: Path, found: Sequence[Prediction]) -> np.ndarray:
    """Return what a score takes: a class's number, the last class's probability, or a number."""
    score = SETS[name].score
    if score == "rmse":
        return np.array([prediction.value for prediction in found])
    labels = classes(name, data)
    if score == "auroc":
        return np.array([prediction.scores[labels[-1]] for prediction in found])
    return np.array([labels.index(prediction.label) for prediction in found])


def singles(name: str, data: Path) -> list:
    """Return items for single calls: a second of samples, a string, or a row."""
    if SETS[name].kind == "audio":
        return [one_second(path) for path in sorted((data / "test").rglob("*.wav"))]
    return test_split(name, data)[0]


def evaluate(name: str, seed: int, work: Path) -> dict[str, object]:
    data, out = folder(name, work), place(name, seed, work)
    items, targets = test_split(name, data)
    with diptych.load(out / "bundle.dip", threads=1) as bundle:
        found = answers(name, data, bundle.predict(items))
        np.save(out / "answers.npy", found)
        times = np.array(block(bundle.predict, cycle(singles(name, data)), CALLS, SECONDS))
    score = SETS[name].score
    result = {"set": name, "seed": seed, "n": len(items), score: SCORES[score](targets, found)}
    p50, p99 = (quantile(times, q).value for q in (0.5, 0.99))
    return result | {"p50_ms": p50, "p99_ms": p99, "calls": len(times)}


def run(name: str, seed: int, work: Path) -> dict:
    """Return what one seed reached; it is fitted where it has not been yet."""
    done = place(name, seed, work) / "result.json"
    if not done.is_file():
        fitted = fit(name, seed, work)
        machine = describe()
        result = evaluate(name, seed, work) | {"size_bytes": fitted["model"]["size_bytes"]}
        result |= {"fit": fitted, "diptych": diptych.__version__, "versions": machine.versions}
        result |= {"machine": f"{machine.cpu}, {machine.cores} cores", "python": machine.python}
        result |= {"date": f"{datetime.now(UTC):%Y-%m-%d}"}
        done.write_text(json.dumps(result) + "\n")
    return json.loads(done.read_text())


def main() -> None:
    asked = arguments(__doc__, seeds=True)
    print_conditions()
    for name in asked.sets:
        print(f"\n{name}: {SETS[name].budget!r} in {SETS[name].minutes} minutes")
        for seed in asked.seeds:
            result = run(name, seed, asked.work)
            score, fitted = SETS[name].score, result["fit"]
            print(f"  seed {seed}: {score} {result[score]:.5g} (n {result['n']}), ", end="")
            print(f"{result['size_bytes']:,} B, p50 {result['p50_ms']:.4f} ms, ", end="")
            print(f"p99 {result['p99_ms']:.4f} ms (n {result['calls']}), ", end="")
            share = fitted["fit_seconds"] / (60 * SETS[name].minutes)
            print(f"{fitted['verdict']}, {share:.3f} of the time limit", flush=True)


if __name__ == "__main__":
    main()
