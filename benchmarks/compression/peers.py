"""Claim: the programs that Diptych makes of a network are on or over every tool's Pareto front.

Same network, same calibration and validation items, same time: NNCF (`quantize`, and with accuracy
control), ONNX Runtime's static quantization (as it is, and with activations in uint8 by extremes
and by entropy), Intel Neural Compressor (static, and tuned), Optimum, Olive (`auto-opt`, and a
search); beside them ours of the same network, and the student that a fit with it as teacher finds.
A tool that takes longer than the fit's time limit is stopped. Accuracy is of the test split, which
no tool sees; size is of the files that a device needs.

All programs are timed in one process, each in the runtime that it is for, in the version of this
process; blocks of single calls by turns, on one thread, each call on the next of 1,500 test items
from all over the split. Each is opened twice: the largest ratio between a program and itself is
what this machine cannot tell, and no less than 1 %, for two programs changed places by 0.9 % from
one run of this script to the next. What is better and what is beaten is decided in
`compression.front`.

Hardware: any, otherwise idle while timing; printed and kept. n: 10,000 test items (Fashion-MNIST,
CIFAR-10), 3,000 single calls of each program. Source: this script, which makes a virtual
environment for each tool with the versions in `compression.tools`.

Usage, from benchmarks/: python -m compression.peers SET [PROGRAM ...] [--teacher BUNDLE]
[--minutes N] [--prepare] [--work FOLDER]. SET is fashion-mnist or cifar10. The network is that of a
bundle; without one it is trained first, for as many minutes as a fit may take. `--prepare` makes
and scores all programs (hours, because of fits), and times nothing; without it the same is done and
then timed, which takes a minute where all is there. A program that is there is not made again
(remove its folder for that), but for a processor that cuts sums of 8-bit products where it was made
for one that does not; one that failed is tried again.
"""

import json
import math
import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from functools import cache
from itertools import cycle
from pathlib import Path

import numpy as np

from compression import ours
from compression.front import Measured, beaten_by
from compression.tools import PEERS, TOLD_ITS_TIME, peer
from conditions import data_folder, print_conditions
from diptych.core.files import sha256_of_file
from diptych.inference.runtimes import Session, open_session
from diptych.measure.machine import cuts_sums, describe
from diptych.measure.quantiles import quantile
from diptych.measure.scores import drop, score
from diptych.measure.timing import interleave
from tasks.sets import WORK

SETS = ("fashion-mnist", "cifar10")
OURS = (*ours.LOWERED, *ours.STUDENTS)
PROGRAMS = (*ours.MODEL, *OURS, *PEERS)
REFERENCE = "fp32 onnxruntime"
BATCH, CALLS = 64, 1500
LEAST_NOISE = 1.01


def teacher_of(asked: Namespace) -> Path:
    """Return the bundle whose network is compressed; trained where there is none."""
    bundle = asked.teacher or asked.work / f"{asked.set}-teacher-{asked.minutes:g}m.dip"
    if not (bundle / "bundle.json").is_file():
        words = [sys.executable, "-m", "diptych", "train", data_folder(asked.set)]
        words += ["--time-limit", f"{asked.minutes:g}m", "--seed", ours.SEED, "--out", bundle]
        subprocess.run([str(word) for word in words], check=True, stdout=sys.stderr)
    return bundle


def make(name: str, place: Path, asked: Namespace, opened) -> dict:
    """Return what is known of a program; it is made where it has not been yet.

    Those made for a processor that cuts sums are kept apart, and so are those made in other minutes
    by who is told its time.
    """
    its_time = f"-{asked.minutes:g}m" if name in (*ours.STUDENTS, *TOLD_ITS_TIME) else ""
    out = place / f"programs-{asked.sums}-sums" / f"{name.replace(' ', '-')}{its_time}"
    done = out / "result.json"
    if not done.is_file():
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        if name in PEERS:
            result = peer(name, place, out, asked)
        elif name in ours.STUDENTS:
            result = ours.make_student(opened(), name.split()[1], out, asked.minutes)
        else:
            result = ours.make(opened(), name, out)
        print(f"{name}: {result}", file=sys.stderr, flush=True)
        if "failed" in result:
            return result
        done.write_text(json.dumps(result) + "\n")
    return json.loads(done.read_text()) | {"place": out}


def session(result: dict) -> Session:
    paths = [result["place"] / file for file in result["files"]]
    paths.sort(key=lambda path: path.suffix == ".bin")  # the graph is what is opened
    runtime = "openvino" if paths[0].suffix == ".xml" else "onnxruntime"
    return open_session(runtime, paths)


def right(result: dict, tests: Path) -> np.ndarray:
    """Return which test items a program tells right; it is run where it has not been yet."""
    done = result["place"] / "right.npy"
    if not done.is_file():
        program, inputs = session(result), np.load(tests / "inputs.npy")
        parts = [program.run(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
        np.save(done, np.concatenate(parts).argmax(1) == np.load(tests / "labels.npy"))
        program.close()
    return np.load(done)


def timed(results: dict[str, dict], tests: Path) -> tuple[dict[str, np.ndarray], float]:
    """Return milliseconds of calls by program, and the ratio that this machine cannot tell."""
    inputs = np.load(tests / "inputs.npy")
    evenly = np.linspace(0, len(inputs), CALLS, endpoint=False).astype(int)  # of every class
    ones, runs = inputs[evenly][:, None], {}  # in turn: a cascade is not as quick with all
    for name, result in results.items():
        for twin in (0, 1):
            opened, turn = session(result), cycle(ones)
            runs[f"{name}|{twin}"] = lambda opened=opened, turn=turn: opened.run(next(turn))
    times = {name: timing.latencies_ms for name, timing in interleave(runs, samples=CALLS).items()}
    pairs = {name: (times[f"{name}|0"], times[f"{name}|1"]) for name in results}
    ratios = [abs(math.log(np.median(a) / np.median(b))) for a, b in pairs.values()]
    noise = max(LEAST_NOISE, math.exp(max(ratios)))
    return {name: np.concatenate(pair) for name, pair in pairs.items()}, noise


def size_of(result: dict) -> int:
    return sum((result["place"] / file).stat().st_size for file in result["files"])


def rows(results: dict[str, dict], place: Path) -> list[dict]:
    """Measure all programs, and return what the table is made of."""
    tests = place / "test"
    known = {name: right(result, tests) for name, result in results.items()}
    times, noise = timed(results, tests)
    print(f"\nbelow {100 * (noise - 1):.1f} % a difference in p50 is none\n")
    programs = {
        name: Measured(known[name], float(np.median(times[name])), size_of(result))
        for name, result in results.items()
    }
    compared = {name: each for name, each in programs.items() if name not in ours.MODEL}
    return [
        {
            "program": name,
            "accuracy": score(known[name]).value,
            "n": len(known[name]),
            "lost": [(lost := drop(known[REFERENCE], known[name])).value, lost.low, lost.high],
            "p50_ms": quantile(times[name], 0.5).value,
            "p99_ms": quantile(times[name], 0.99).value,
            "calls": len(times[name]),
            "times_fp32": programs[REFERENCE].p50_ms / each.p50_ms,
            "size_bytes": each.size_bytes,
            "seconds": results[name]["seconds"],
            "package": results[name]["package"],
            "beaten_by": beaten_by(name, compared, noise) if name in compared else [],
            "noise": noise,
        }
        for name, each in programs.items()
    ]


def print_table(table: list[dict]) -> None:
    print(
        "| | accuracy | lost against fp32 | p50 | p99 | fp32 / this | size | made in | beaten by |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in table:
        value, low, high = (100 * number for number in row["lost"])
        name = f"**{row['program']}**" if row["program"] in OURS else row["program"]
        cells = [
            name,
            f"{100 * row['accuracy']:.2f} %",
            f"{value:+.2f} ({low:+.2f} to {high:+.2f})",
        ]
        cells += [f"{row['p50_ms']:.4f} ms", f"{row['p99_ms']:.4f} ms", f"{row['times_fp32']:.2f}"]
        cells += [f"{row['size_bytes']:,} B", f"{row['seconds']:.0f} s"]
        print(f"| {' | '.join([*cells, ', '.join(row['beaten_by']) or '-'])} |")


def print_verdict(table: list[dict]) -> None:
    by = {row["program"]: row["beaten_by"] for row in table if row["program"] not in ours.MODEL}
    mine = [name for name in by if name in OURS and not by[name]]
    left = [name for name in by if name in PEERS and not set(by[name]) & set(OURS)]
    lost = {name: set(by[name]) & set(PEERS) for name in by if name in OURS}
    print(f"\nof ours that nothing beats: {', '.join(mine) or 'none'}")
    for name, who in lost.items():
        if who:
            print(f"of ours that a tool beats: {name}, by {', '.join(sorted(who))}")
    print(f"tools whose program none of ours beats: {', '.join(left) or 'none'}")


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=SETS)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"of {', '.join(PROGRAMS)}")
    parser.add_argument("--teacher", type=Path, help="the bundle whose network is compressed")
    parser.add_argument(
        "--minutes", type=float, default=25.0, help="of a fit, and the most of a tool"
    )
    parser.add_argument("--prepare", action="store_true", help="make and score programs only")
    parser.add_argument("--work", type=Path, default=WORK.parent / "compression")
    asked = parser.parse_args()
    if unknown := set(asked.programs) - set(PROGRAMS):
        parser.error(f"there is no program {', '.join(sorted(unknown))}")
    machine = describe()
    asked.sums = "cut" if cuts_sums(machine) else "whole"
    asked.work = asked.work.absolute()
    asked.work.mkdir(parents=True, exist_ok=True)
    print_conditions()
    bundle = teacher_of(asked).absolute()
    place = asked.work / f"{asked.set}-{sha256_of_file(bundle / 'weights.safetensors')[:8]}"
    opened = cache(lambda: ours.open_ours(bundle, data_folder(asked.set)))
    if not (place / "inputs" / "model.onnx").is_file():
        ours.write_inputs(opened(), place / "inputs", place / "test")
    wanted = [
        name for name in PROGRAMS if name in {*asked.programs, REFERENCE} or not asked.programs
    ]
    made = {name: make(name, place, asked, opened) for name in wanted}
    for name, result in made.items():
        if "failed" in result:
            print(f"{name}: {result['failed']}")
    results = {name: result for name, result in made.items() if "failed" not in result}
    if asked.prepare:
        for name, result in results.items():
            print(f"{name}: {100 * right(result, place / 'test').mean():.2f} %, ", end="")
            print(f"{size_of(result):,} B, made in {result['seconds']:.0f} s", flush=True)
        return
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    table = rows(results, place)
    told = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", "versions": machine.versions}
    told |= {"machine": f"{machine.cpu}, {machine.cores} cores", "rows": table}
    (place / "table.json").write_text(json.dumps(told, indent=1) + "\n")
    print_table(table)
    print_verdict(table)


if __name__ == "__main__":
    main()
