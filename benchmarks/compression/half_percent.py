"""Claim: at half a percent of accuracy a bundle takes a twentieth of its teacher's time in PyTorch.

A teacher of Fashion-MNIST or CIFAR-10 is trained by a recipe of this repository, unless its bundle
is there already. `diptych fit --teacher` then trains a student by the same recipe, with a drop of
at most half a percent, a tenth of the bytes of the teacher in fp32, and a p99 and a median that
keep the claim.
Scored on the 10,000 test pictures by that fit (paired, the whole 95 % interval counts); timed here:
the teacher in PyTorch eager, the teacher's fp32 program in ONNX Runtime, and the bundle's program.
The claims are p99 at least 20 times under eager and at least 4 times under ONNX Runtime fp32, and
10 times smaller.

Hardware: any with 2 cores, otherwise idle while timing; printed. n: 3,000 single predictions of
each, one thread, by turns; one seed. Source: this script; the official splits.

Usage, from benchmarks/: python -m compression.half_percent [NAME] [--devices 1] [--work FOLDER],
NAME one of fashion-mnist, fashion-mnist-wide (a teacher as large as what people bring), cifar10; so
many processes train the teacher. Teacher and bundle are kept in the folder; a second call
measures again, also a bundle that was put in its place.
"""

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import torch

import diptych
from against_eager import eager_network, in_turns, singles, tensors
from conditions import ROOT, data_folder, print_conditions
from diptych.inference.runtimes import open_session
from diptych.measure.quantiles import median_ratio, quantile
from diptych.measure.timing import interleave
from tasks.sets import WORK

NAMES = ("fashion-mnist", "fashion-mnist-wide", "cifar10")
CALLS, SMALLER = 3_000, 10
EAGER, FLOAT, OURS = "teacher, PyTorch eager", "teacher, ONNX Runtime fp32", "the bundle"
FASTER = {EAGER: 20, FLOAT: 4}


def diptych_command(*words: object) -> None:
    """Run a command; a budget that is not kept is a result too."""
    done = subprocess.run([sys.executable, "-m", "diptych", *map(str, words)])
    if done.returncode not in {0, 3}:
        sys.exit(f"diptych {words[0]} ended with code {done.returncode}")


def float_program(teacher: diptych.Bundle) -> Path:
    (file,) = next(p.files for p in teacher.manifest.programs if p.precision == "fp32")
    return teacher.path / file.path


def compare(name: str, work: Path, devices: int) -> None:
    made, found = work / f"{name}-teacher.dip", work / f"{name}.dip"
    data, recipe = data_folder(name.removesuffix("-wide")), ROOT / "recipes" / f"{name}-small.toml"
    words = [data, "--recipe", recipe]
    if not made.is_dir():
        diptych_command("train", *words, "--devices", devices, "--out", made)
    teacher = diptych.load(made, threads=1)
    program = float_program(teacher)
    if not found.is_dir():
        budget = f"drop<=0.5%, size<={program.stat().st_size // SMALLER}B"
        times = timed(teacher, program)
        for term, q in (("p50", 0.5), ("p99", 0.99)):
            limit_ms = min(quantile(times[who], q).value / least for who, least in FASTER.items())
            budget += f", {term}<={limit_ms:.4f}ms"
        words += ["--budget", budget, "--teacher", made]
        diptych_command("fit", *words, "--out", found)
    bundle = diptych.load(found, threads=1)
    for term in bundle.manifest.terms:
        interval = f"{term.low:.5g} to {term.high:.5g}, n {term.n:,}"
        print(f"{name}, {term.name}: {term.value:.5g} ({interval}): {term.verdict}")
    show(timed(teacher, program, bundle))


def timed(
    teacher: diptych.Bundle, program: Path, bundle: diptych.Bundle | None = None
) -> dict[str, np.ndarray]:
    """Time single predictions of the golden pictures by turns; return milliseconds."""
    torch.set_num_threads(1)
    network, session = eager_network(teacher), open_session("onnxruntime", [program])
    ones = singles(teacher.golden().inputs)

    def eager(tensor: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(tensor)

    calls = {EAGER: in_turns(eager, tensors(ones)), FLOAT: in_turns(session.run, ones)}
    if bundle is not None:
        calls[OURS] = in_turns(bundle.run, ones)
    found = interleave(calls, samples=CALLS)
    return {name: timing.latencies_ms for name, timing in found.items()}


def show(times: dict[str, np.ndarray]) -> None:
    tail = quantile(times[OURS], 0.99).value
    for name, latencies in times.items():
        p50, p99 = (quantile(latencies, q) for q in (0.5, 0.99))
        ratio = median_ratio(latencies, times[OURS])
        print(
            f"{name}: p50 {p50.value:.4f} ms, p99 {p99.value:.4f} ms ({p99.low:.4f} to "
            f"{p99.high:.4f}), n {p99.n:,}; p99 {p99.value / tail:.1f} times that of the bundle, "
            f"median {ratio.value:.1f} times"
        )


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", choices=NAMES, default=NAMES[0])
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--work", type=Path, default=WORK.parent / "compression" / "half-percent")
    asked = parser.parse_args()
    print_conditions()
    asked.work.mkdir(parents=True, exist_ok=True)
    compare(asked.name, asked.work, asked.devices)


if __name__ == "__main__":
    main()
