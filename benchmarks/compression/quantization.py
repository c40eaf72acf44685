"""Claim: where 8 bits with a scale per channel lose accuracy, training on in 8 bits wins it back.

Not all of it, and at usual scales nothing is lost that 10,000 pictures show: Fashion-MNIST, two
deliberately narrow residual networks, each in fp32, calibrated on 512 training pictures, and
trained on in 8 bits for two epochs while it imitates itself, for ONNX Runtime and for OpenVINO.
Then the wider one once more with one channel of two layers 300 times as large as the others, by a
factor that the next layer divides by: in float the same network, in 8 bits not.

Scored on the 10,000 test pictures: accuracy of each, per seed, and the drop against fp32 with a
paired interval over the test pictures, of the mean over seeds (Hall); how many labels a trained
program and the rounded network agree on, and how far their logits are apart as a share of their
range. The p50 of single predictions, all programs of the first seed in alternation, as ratios to
ONNX Runtime fp32.

Hardware: any, otherwise idle; one thread; printed. n: 10,000 test pictures, 3 seeds, 1,000 calls.
Source: this script; the official splits, of which 5,000 training pictures validate.

Usage, from benchmarks/: taskset -c 1 python -m compression.quantization [--work FOLDER]. What is
done is kept in the folder, and a second call goes on from there. `--items 600 --shorter 20` is a
try.
"""

import copy
import dataclasses
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace

from compression.pruning import head
from conditions import data_folder, print_conditions
from diptych.compression.aware import quantized_recipe
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.calibration import calibration_items
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.refining import train_in_8_bits
from diptych.fitting.trainee import Trainee, network_of, train_model
from diptych.fitting.trials import open_lowered, run_all
from diptych.measure.scores import drop
from diptych.measure.timing import interleave
from diptych.targets.lower import LoweredProgram, lower_all, lower_trained
from diptych.training.compute import compute_outputs
from diptych.training.control import RunControl
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.variation import PictureVariation
from tasks.sets import WORK
from training.optimizers import Kept

SEEDS = (0, 1, 2)
NETWORKS = {
    "8, 8, 16": (ResidualNetConfig(stem=8, widths=(8, 16), blocks=(1, 0)), 5.0),
    "4, 4, 8": (ResidualNetConfig(stem=4, widths=(4, 8), blocks=(1, 0)), 4.0),
}
SKEWED, FACTOR, CHANNEL = "8, 8, 16, skewed", 300.0, 2
EPOCHS_IN_8_BITS = 2.0
CALIBRATION_ITEMS = 512
RUNTIMES = ("onnxruntime", "openvino")
FLOAT = "onnxruntime fp32"
VARIATION = PictureVariation(translate=2, cutout=7, flip=True)
CALLS, CALLS_LIMIT_S = 1_000, 60.0


def float_model(name: str, dataset: Dataset, seed: int, shorter: float, work: Path) -> Trainee:
    """Train a network in float, or take it from its folder."""
    network, epochs = NETWORKS[name.removesuffix(", skewed")]
    training = TrainingRecipe(epochs=epochs / shorter, variation=VARIATION)
    plan = ModelPlan(name="float", network=network, training=training)
    with closing(RunFolder(work / f"float-{network.stem}-{seed}", print)) as folder:
        made = train_model(plan, dataset, RunControl(name="float", seed=seed, folder=folder))
    if name != SKEWED:
        return made
    return dataclasses.replace(made, network=skewed(network_of(made)))


def skewed(network: Any) -> Any:
    """Make one channel of the stem and of the block larger, which the layers after them undo."""
    net = copy.deepcopy(network)
    stem, pooled, block = net.body[0], net.body[1], net.body[2]
    with torch.no_grad():
        for large, after in ((stem, pooled), (block.first, block.second)):
            large.norm.weight[CHANNEL] *= FACTOR
            large.norm.bias[CHANNEL] *= FACTOR
            after.convolution.weight[:, CHANNEL] /= FACTOR
    return net


def trained_programs(
    model: Trainee, dataset: Dataset, calibration: np.ndarray, seed: int, shorter: float
) -> tuple[list[LoweredProgram], np.ndarray]:
    """Train a model on in 8 bits; return its programs, and what the rounded network answers."""
    recipe = replace(quantized_recipe(model.plan.training), epochs=EPOCHS_IN_8_BITS / shorter)
    planned = dataclasses.replace(model, plan=replace(model.plan, quantized=recipe))
    control = RunControl(name="8 bits", seed=seed)
    _, network = train_in_8_bits(planned, None, dataset, calibration, control)
    programs = lower_trained(network, dataset.spec.tensor(), RUNTIMES)
    return programs, compute_outputs(network, dataset.test.inputs, recipe)


def row(name: str, dataset: Dataset, seed: int, shorter: float, work: Path) -> dict[str, Any]:
    """Return what every program of a network tells right, and how alike those trained are."""
    model = float_model(name, dataset, seed, shorter, work)
    calibration = calibration_items(dataset, CALIBRATION_ITEMS, seed, lambda step: None)
    choices = [("onnxruntime", "fp32"), *((runtime, "int8") for runtime in RUNTIMES)]
    programs = lower_all(network_of(model), dataset.spec.tensor(), choices, calibration)
    trained, rounded = trained_programs(model, dataset, calibration, seed, shorter)
    test, calls, found = dataset.test, {}, {}
    for program in (*programs, *trained):
        key = f"{program.runtime} {program.precision}"
        key += f" {program.method}" if program.precision == "int8" else ""
        session = open_lowered(program)
        outputs = run_all(session, test.inputs)
        calls[key] = partial(session.run, np.ascontiguousarray(test.inputs[:1]))
        found[key] = {"right": np.flatnonzero(outputs.argmax(1) == test.targets).tolist()}
        if program.method == "trained":
            found[key]["agreed"] = float((outputs.argmax(1) == rounded.argmax(1)).mean())
            found[key]["apart"] = float(np.abs(outputs - rounded).max() / np.ptp(rounded))
    return found | ({"p50 ms": times(calls)} if seed == SEEDS[0] else {})


def times(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    timed = interleave(calls, samples=CALLS, time_limit_s=CALLS_LIMIT_S)
    return {key: float(np.median(timing.latencies_ms)) for key, timing in timed.items()}


def compare(name: str, found: list[dict[str, Any]], count: int) -> None:
    """Print accuracies, drops against fp32, parity and latency of a network."""
    print(f"\nwidths {name}")
    right: dict[str, np.ndarray] = {}
    p50 = found[0]["p50 ms"]
    for key in p50:
        right[key] = np.zeros((len(found), count))
        for number, seed in enumerate(found):
            right[key][number, seed[key]["right"]] = 1.0
        each, lost = 100 * right[key].mean(1), drop(right[FLOAT].mean(0), right[key].mean(0))
        spread = f" +- {each.std(ddof=1):.2f}" if len(each) > 1 else ""
        line = f"{key}: {each.mean():.2f}{spread} %, n {len(each)} seeds"
        if key != FLOAT:
            line += f"; drop {100 * lost.value:.2f}, {100 * lost.low:.2f} to {100 * lost.high:.2f}"
            line += f" (95 %, n {lost.n:,}); {p50[FLOAT] / p50[key]:.2f} times as fast"
        print(f"{line}; p50 {1e3 * p50[key]:.0f} us (n {CALLS:,})", flush=True)
    for key in (key for key in p50 if "agreed" in found[0][key]):
        agreed, apart = ([seed[key][what] for seed in found] for what in ("agreed", "apart"))
        print(
            f"{key} and the rounded network: {100 * min(agreed):.1f} % of the labels or more, "
            f"logits apart by at most {100 * max(apart):.1f} % of their range"
        )


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=WORK.parent / "compression" / "quantization")
    parser.add_argument("--items", type=int, help="training and test pictures, of each at most")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--shorter", type=float, default=1.0, help="divides all epochs")
    asked = parser.parse_args()
    print_conditions()
    work = asked.work / f"{asked.items or 'all'}-{asked.shorter:g}"
    work.mkdir(parents=True, exist_ok=True)
    kept = Kept(work / "results.json")
    dataset = read(data_folder("fashion-mnist"), Options(seed=0))
    if asked.items:
        names = ("train", "validation", "test")
        shares = {name: head(getattr(dataset, name), asked.items) for name in names}
        dataset = dataclasses.replace(dataset, **shares)
    for name in (*NETWORKS, SKEWED):
        found = []
        for seed in SEEDS[: asked.seeds]:
            make = partial(row, name, dataset, seed, asked.shorter, work)
            found.append(kept.get(f"{name} {seed}", make))
        compare(name, found, len(dataset.test))


if __name__ == "__main__":
    main()
