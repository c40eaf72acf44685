"""Claim: a ResNet-18 at 224 x 224 is in int8 at least 3.5 times as fast as ONNX Runtime's fp32.

And no slower than NNCF's. It has 11.7 million parameters and 1.8 billion multiply-adds; beside it,
without a claim, our residual network at that size. Raw pixels in, scaling inside; weights are
random, since what a call takes does not depend on them. Ours are lowered by
`diptych.targets.lower` with nothing set; NNCF's is `nncf.quantize` of the same ONNX file as it is.

Hardware: any, otherwise idle while timing; printed. n: 300 single calls of each program, one
thread, blocks by turns in one process; every program is opened twice, and the ratio between a
program and itself is what this machine cannot tell. Ratios are medians of paired calls, with 95 %
intervals. Source: this script; K. He et al., "Deep Residual Learning for Image Recognition", 2016
(ResNet-18).

Usage, from benchmarks/: python -m compression.large [NETWORK ...] [--prepare] [--work FOLDER].
NETWORK is resnet18 or residual. `--prepare` makes the programs, which takes a minute for each, and
times nothing; without it those that are there are taken as they are.
"""

import os
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from conditions import print_conditions
from diptych.core.specs import ImageSpec
from diptych.inference.runtimes import Session, open_session
from diptych.measure.quantiles import median_ratio, quantile
from diptych.measure.timing import Procedure, interleave
from diptych.targets import TARGETS
from diptych.targets.lower import lower_all
from diptych.training.models import ResidualNet, ResidualNetConfig
from tasks.sets import WORK

SIDE, CLASSES, ITEMS = 224, 1000, 32
CALLS, BLOCK = 150, 5
CLAIMS = {"resnet18": 3.5}
REFERENCE, TOOL = "onnxruntime-fp32", "nncf"


class Block(nn.Module):
    """Two convolutions 3x3 added to their input, which a 1x1 brings to their shape if need be."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.shortcut = nn.Sequential()
        if stride > 1:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        added = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(added)) + self.shortcut(x))


class ResNet18(nn.Module):
    """uint8 pixels (N, H, W, 3) in, logits (N, 1000) out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.norm = nn.BatchNorm2d(64)
        shapes = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        pairs = [(Block(*shape), Block(shape[1], shape[1], 1)) for shape in shapes]
        self.blocks = nn.Sequential(*(block for pair in pairs for block in pair))
        self.head = nn.Linear(512, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.permute(0, 3, 1, 2).float() - 127.5) / 64
        x = functional.max_pool2d(functional.relu(self.norm(self.stem(x))), 3, 2, 1)
        return self.head(self.blocks(x).mean((2, 3)))


def residual() -> nn.Module:
    """Our own kind: each stage halves the picture by max pooling."""
    config = ResidualNetConfig(stem=16, widths=(32, 64, 128, 256), blocks=(0, 1, 1, 1))
    return ResidualNet(config, ImageSpec(height=SIDE, width=SIDE, channels=3), CLASSES)


NETWORKS = {"resnet18": ResNet18, "residual": residual}


def prepare(name: str, out: Path) -> None:
    """Write every program into a folder of its own; `done` comes last."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    items = np.random.default_rng(0).integers(0, 256, (ITEMS, SIDE, SIDE, 3), np.uint8)
    spec = ImageSpec(height=SIDE, width=SIDE, channels=3).tensor()
    programs = lower_all(network, spec, TARGETS["cpu"], calibration=items)
    for program in programs:
        place = out / f"{program.runtime}-{program.precision}"
        place.mkdir(parents=True, exist_ok=True)
        for file, content in program.contents.items():
            (place / file).write_bytes(content)
    nncf_as_it_is(next((out / REFERENCE).iterdir()), items, out / TOOL)
    (out / "done").touch()


def nncf_as_it_is(model: Path, items: np.ndarray, place: Path) -> None:
    import nncf
    import openvino

    place.mkdir(parents=True, exist_ok=True)
    ones = nncf.Dataset([items[i : i + 1] for i in range(len(items))])
    openvino.save_model(nncf.quantize(openvino.Core().read_model(model), ones), place / "model.xml")


def session(place: Path) -> Session:
    paths = sorted(place.iterdir(), key=lambda path: path.suffix == ".bin")
    return open_session("openvino" if len(paths) > 1 else "onnxruntime", paths)


def time_all(folder: Path) -> dict[str, np.ndarray]:
    """Return milliseconds of calls (N,) by program: those of one twin, then of the other."""
    places = sorted(path for path in folder.iterdir() if path.is_dir())
    one = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    runs = {}
    for place in places:
        for twin in (0, 1):
            opened = session(place)
            if not np.isfinite(opened.run(one)).all():
                raise SystemExit(f"{place} gives numbers that are not finite")
            runs[f"{place.name}|{twin}"] = lambda opened=opened: opened.run(one)
    timings = interleave(runs, samples=CALLS, procedure=Procedure(block=BLOCK))
    times = {name: timing.latencies_ms for name, timing in timings.items()}
    return {p.name: np.concatenate([times[f"{p.name}|{twin}"] for twin in (0, 1)]) for p in places}


def told(network: str, times: dict[str, np.ndarray]) -> None:
    print("| | p50 | p99 | fp32 of ONNX Runtime / this | itself / itself |\n|---|---|---|---|---|")
    for name, each in times.items():
        p50, p99 = quantile(each, 0.5), quantile(each, 0.99)
        ratio = median_ratio(times[REFERENCE], each)
        itself = np.median(each[: len(each) // 2]) / np.median(each[len(each) // 2 :])
        cells = [name, f"{p50.value:.2f} ms", f"{p99.value:.2f} ms"]
        cells += [f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})", f"{itself:.3f}"]
        print(f"| {' | '.join(cells)} |")
    best = min((name for name in times if "int8" in name), key=lambda name: np.median(times[name]))
    ratio, tool = (
        median_ratio(times[REFERENCE], times[best]),
        median_ratio(times[TOOL], times[best]),
    )
    print(f"\nours, {best}: {ratio.value:.2f} times as fast as fp32 in ONNX Runtime; ", end="")
    print(f"NNCF's takes {tool.value:.3f} ({tool.low:.3f} to {tool.high:.3f}) of its time")
    if network in CLAIMS:
        kept = "kept" if ratio.low >= CLAIMS[network] else "not kept"
        print(f"claim of {CLAIMS[network]} times: {kept}")


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--prepare", action="store_true", help="make the programs only")
    parser.add_argument("--work", type=Path, default=WORK.parent / "compression")
    asked = parser.parse_args()
    if unknown := set(asked.networks) - set(NETWORKS):
        parser.error(f"there is no network {', '.join(sorted(unknown))}")
    print_conditions()
    for name in asked.networks or NETWORKS:
        folder = asked.work / f"large-{name}"
        if not (folder / "done").is_file():
            prepare(name, folder)
        if not asked.prepare:
            print(f"\n{name}, load of the machine {os.getloadavg()[0]:.1f}\n")
            told(name, time_all(folder))


if __name__ == "__main__":
    main()
