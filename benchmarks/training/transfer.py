"""Claim: with 500 labelled pictures of CIFAR-10 (1 %), transfer beats training from scratch.

The start is had without labels and without downloads: a network of the size of a student learns by
which quarter turn each of the 50,000 training pictures was turned; labels are not used, test
pictures neither. Then its head is replaced, and it learns 50 pictures of each class; the same
network from scratch learns the same pictures by the same recipe for as many steps, and once more
for three times as many. How much is frozen, and how much slower the first layers learn, was chosen
on 5,000 training pictures whose labels no seed learns, with labels drawn by another seed
(`--choose` shows it): neither gained anything, so neither is done.

Scored on the 10,000 test pictures: accuracy of each, per seed; the gain of transfer with a paired
interval over the test pictures, per seed (Tango) and of the mean over seeds (Hall).

Hardware: any; one thread, bfloat16 where the processor has it; printed. n: 10,000 test pictures, 3
seeds of labels and of weights.
Source: this script; S. Gidaris, P. Singh and N. Komodakis, "Unsupervised representation learning
by predicting image rotations", 2018, for the task without labels.

Predicted before the test pictures were looked at: 48 % from scratch, 57 % by transfer.

Usage, from benchmarks/: taskset -c 1 python -m training.transfer [--work FOLDER] [--choose]. What
is done is kept in the folder, and a second call goes on from there.
"""

from argparse import ArgumentParser
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace as changed

from conditions import data_folder, print_conditions
from diptych.core.files import write_atomic
from diptych.core.progress import Step
from diptych.core.values import Dataset, Split
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.plans import image
from diptych.fitting.plans.machines import fast_arithmetic
from diptych.measure.machine import describe
from diptych.measure.scores import drop
from diptych.training import weights
from diptych.training.compute import compute_outputs, initialize
from diptych.training.control import RunControl, TrainedNetwork
from diptych.training.loop import train_network
from diptych.training.models import ResidualNet, ResidualNetConfig
from diptych.training.objectives import learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.start import Start, read_start
from diptych.training.transfer import begin
from diptych.training.variation import PictureVariation
from tasks.sets import WORK
from training.optimizers import Kept

SEEDS, CHOOSING_SEED = (0, 1, 2), 9
LABELLED_PER_CLASS = 50
NETWORK = ResidualNetConfig(stem=16, widths=(32, 64, 128), blocks=(0, 1, 1))
TURNS = ("0", "90", "180", "270")
SHORT_EPOCHS = 20.0
ROTATION = TrainingRecipe(epochs=1.25, label_smoothing=0.0, variation=PictureVariation(translate=3))
FREEZE_SHARE, LAYER_DECAY = 0.0, 1.0
CHOICES = [(0.0, 1.0), (0.2, 1.0), (0.0, 0.3), (0.2, 0.3), (0.2, 0.1), (0.5, 0.3)]


@dataclass(frozen=True)
class Arm:
    """Where weights come from, and how they are treated."""

    start: Start | None
    freeze_share: float = 0.0
    layer_decay: float = 1.0
    longer: float = 1.0


def split_of(pixels: np.ndarray, targets: np.ndarray) -> Split:
    return Split(inputs=np.ascontiguousarray(pixels), targets=targets, items=("",) * len(targets))


def turned(pixels: np.ndarray) -> Split:
    """Return all pictures (N, H, W, C) in all four turns, which are the targets."""
    turns = [np.rot90(pixels, quarter, (1, 2)) for quarter in range(len(TURNS))]
    return split_of(np.concatenate(turns), np.repeat(np.arange(len(TURNS)), len(pixels)))


def few(dataset: Dataset, seed: int) -> Dataset:
    """Return the data with so many labelled pictures of each class, and nothing to validate."""
    draw, targets = np.random.default_rng(seed), dataset.train.targets
    places = [
        draw.permutation(np.flatnonzero(targets == kind))[:LABELLED_PER_CLASS]
        for kind in range(len(dataset.labels))
    ]
    rows = np.concatenate(places)
    nothing = split_of(dataset.validation.inputs[:0], dataset.validation.targets[:0])
    train = split_of(dataset.train.inputs[rows], targets[rows])
    return replace(dataset, train=train, validation=nothing)


def trained(
    network: ResidualNet, dataset: Dataset, recipe: TrainingRecipe, **control: Any
) -> TrainedNetwork:
    targets = torch.from_numpy(dataset.train.targets)
    objective = learn_labels(dataset.goal, targets, label_smoothing=recipe.label_smoothing)
    return train_network(network, dataset, recipe, objective, RunControl(**control))


def fresh(dataset: Dataset, seed: int) -> ResidualNet:
    def build() -> ResidualNet:
        return ResidualNet(NETWORK, dataset.spec, len(dataset.labels))

    network = initialize(build, seed, "transfer")
    network.learn_scaling(torch.from_numpy(dataset.train.inputs))
    return network


def learn_turns(dataset: Dataset, work: Path) -> Path:
    """Learn from the training pictures without their labels; go on where that was left."""
    file = work / "rotation.safetensors"
    if file.is_file():
        return file
    pixels = np.concatenate([dataset.train.inputs, dataset.validation.inputs])
    train, nothing = turned(pixels), turned(pixels[:0])
    told = replace(dataset, labels=TURNS, train=train, validation=nothing, test=nothing)
    folder = RunFolder(work / "rotation", print)

    def tell(step: Step) -> None:
        if step.done % 200 < 20:
            print(f"  {step.done} of {step.total} steps: {step.note}", flush=True)

    recipe = changed(ROTATION, arithmetic=fast_arithmetic(describe()))
    run = trained(fresh(told, 0), told, recipe, folder=folder, report=tell)
    folder.close()
    write_atomic(file, weights.encode(run.network))
    return file


def right(arm: Arm, dataset: Dataset, seed: int, scored: Split) -> list[int]:
    """Train on few labels, and return which of the scored pictures are told right."""
    labelled = few(dataset, seed)
    recipe = image.training_recipe(labelled, describe(), seed, SHORT_EPOCHS)
    recipe = changed(
        recipe,
        threads=1,
        epochs=arm.longer * recipe.epochs,
        freeze_share=arm.freeze_share,
        layer_decay=arm.layer_decay,
    )
    network, new = fresh(labelled, seed), frozenset[str]()
    if arm.start:
        started = begin(network, arm.start, labelled)
        print(f"  {started.note}")
        new = started.fresh
    run = trained(network, labelled, recipe, seed=seed, fresh=new)
    outputs = compute_outputs(run.network, scored.inputs, recipe)
    return np.flatnonzero(outputs.argmax(1) == scored.targets).tolist()


def choose(start: Start, dataset: Dataset, kept: Kept) -> None:
    """Print what each choice gives on training pictures that are not learned from."""
    scored = dataset.validation
    arms = {"scratch": Arm(None)}
    arms |= {f"freeze {f:g}, decay {d:g}": Arm(start, f, d) for f, d in CHOICES}
    for name, arm in arms.items():
        found = kept.get(
            f"choose {name}", lambda arm=arm: right(arm, dataset, CHOOSING_SEED, scored)
        )
        print(f"{name}: {100 * len(found) / len(scored):.2f} %, n {len(scored):,}", flush=True)


def compare(start: Start, dataset: Dataset, kept: Kept) -> None:
    """Print the accuracy of both and the gain, for each seed and for their mean."""
    test = dataset.test
    arms = {
        "scratch": Arm(None),
        "transfer": Arm(start, FREEZE_SHARE, LAYER_DECAY),
        "scratch, 3 times as long": Arm(None, longer=3.0),
    }
    told = {name: np.zeros((len(SEEDS), len(test)), dtype=bool) for name in arms}
    for row, seed in enumerate(SEEDS):
        for name, arm in arms.items():
            places = kept.get(
                f"test {name} {seed}", lambda arm=arm, seed=seed: right(arm, dataset, seed, test)
            )
            told[name][row, places] = True
        scores = ", ".join(f"{name} {100 * told[name][row].mean():.2f} %" for name in arms)
        print(f"seed {seed}: {scores}; {gain(told['scratch'][row], told['transfer'][row])}")
    for name in arms:
        each = 100 * told[name].mean(1)
        print(f"{name}: {each.mean():.2f} +- {each.std(ddof=1):.2f} %, n {len(each)} seeds")
    means = {name: told[name].mean(0) for name in arms}
    for name in ("scratch", "scratch, 3 times as long"):
        print(f"mean of seeds, against {name}: {gain(means[name], means['transfer'])}")


def gain(scratch: np.ndarray, transfer: np.ndarray) -> str:
    lost = drop(scratch, transfer)
    low, high = -100 * lost.high, -100 * lost.low
    return f"gain {-100 * lost.value:.2f} points, {low:.2f} to {high:.2f} (95 %, n {lost.n:,})"


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=WORK.parent / "training")
    parser.add_argument("--choose", action="store_true", help="compare ways to transfer")
    asked = parser.parse_args()
    print_conditions()
    asked.work.mkdir(parents=True, exist_ok=True)
    kept = Kept(asked.work / "transfer.json")
    dataset = read(data_folder("cifar10"), Options(seed=0))
    start = read_start(learn_turns(dataset, asked.work))
    with closing(RunFolder(asked.work / "rotation", print)) as folder:
        last = folder.latest()
    print(f"\n{NETWORK}")
    if last:
        at = last.position
        print(
            f"turns: {at.step} steps, {at.cpu_seconds:.0f} s of a processor, loss of epochs",
            end=" ",
        )
        print(", ".join(f"{point.loss:.3f}" for point in at.curve))
    (choose if asked.choose else compare)(start, dataset, kept)


if __name__ == "__main__":
    main()
