"""Claim: a row, from Python, takes a twentieth of the time of scikit-learn's and AutoGluon's.

Every program has a process of its own that stays, with one thread, all on the same core where the
system can bind them to one; blocks of single calls alternate between them in an order shuffled anew
each round, so that the machine's state hits all alike.
What is timed is `bundle.predict(raw item)` beside the peer's own call; what the peer's item is
made of beforehand is said in `peer_tables.py` and `peer_sounds.py`.

Hardware: any, otherwise idle; printed. n: 21 rounds of at most 200 calls and 2 s each, after
warm-up; the ratio is the median over rounds of the ratio of medians, with its interval.
Source: this script, on seed 0 of `tasks.ours` and `tasks.peers`, which run before it; a peer that
has no result there is left out.

Usage, from benchmarks/: python -m tasks.race [SET ...] [--work FOLDER].
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np

import diptych
from conditions import print_conditions
from diptych.measure.quantiles import median_ratio, quantile
from tasks import lane, ours
from tasks.peers import PEERS, command, one_thread, place
from tasks.sets import ROOT, SETS, arguments, folder

ROUNDS, CALLS, SECONDS = 21, 200, 2.0
OURS = "diptych"


def serve(name: str, work: Path) -> None:
    """Be our lane."""
    with diptych.load(ours.place(name, 0, work) / "bundle.dip", threads=1) as bundle:
        lane.serve(bundle.predict, ours.singles(name, folder(name, work)))


def start(words: list[str]) -> subprocess.Popen[str]:
    pipes = {"stdin": PIPE, "stdout": PIPE, "text": True}
    process = Popen(words, cwd=ROOT / "benchmarks", env=one_thread(), **pipes)
    while (line := process.stdout.readline()) and line != "ready\n":
        pass
    if not line:
        sys.exit(f"{' '.join(words)} ended with code {process.wait()}")
    return process


def ask(process: subprocess.Popen[str]) -> list[float]:
    process.stdin.write(json.dumps({"calls": CALLS, "seconds": SECONDS}) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def race(name: str, work: Path) -> dict[str, list[list[float]]]:
    """Return the milliseconds of each call, by program and by round."""
    lanes = {OURS: [sys.executable, "-m", "tasks.race", "--lane", name, str(work)]}
    for peer in PEERS[SETS[name].kind]:
        if (place(peer, name, 0, work) / "result.json").is_file():
            lanes[peer] = command("lane", peer, name, 0, work)
        else:
            print(f"{name}: {peer} has no result, and is left out")
    running = {who: start(words) for who, words in lanes.items()}
    times: dict[str, list[list[float]]] = {who: [] for who in running}
    random = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for who in random.permutation(list(running)):
            times[who].append(ask(running[who]))
    for process in running.values():
        process.stdin.close()
        process.wait()
    return times


def summary(times: dict[str, list[list[float]]]) -> dict[str, dict[str, float]]:
    medians = {who: np.array([np.median(block) for block in times[who]]) for who in times}
    rows = {}
    for who, blocks in times.items():
        calls = np.concatenate(blocks)
        p50, p99 = quantile(calls, 0.5), quantile(calls, 0.99)
        ratio = median_ratio(medians[who], medians[OURS])
        rows[who] = {"p50_ms": p50.value, "p99_ms": p99.value, "calls": len(calls)}
        rows[who] |= {"ratio": ratio.value, "low": ratio.low, "high": ratio.high}
    return rows


def main() -> None:
    if sys.argv[1:2] == ["--lane"]:
        serve(sys.argv[2], Path(sys.argv[3]))
        return
    asked = arguments(__doc__)
    print_conditions()
    if hasattr(os, "sched_setaffinity"):  # lanes inherit it
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name in asked.sets:
        rows = summary(race(name, asked.work))
        out = asked.work / "race" / f"{name}.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(rows, indent=1) + "\n")
        print(f"\n{name}")
        for who, row in rows.items():
            print(f"  {who}: p50 {row['p50_ms']:.4f} ms, p99 {row['p99_ms']:.4f} ms, ", end="")
            print(f"n {row['calls']}; / {OURS}: ", end="")
            print(f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})", flush=True)


if __name__ == "__main__":
    main()
