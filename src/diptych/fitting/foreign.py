"""A teacher that is an ONNX file: how it wants pixels is found out by its answers.

Shapes: N items, K outputs.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_file
from diptych.core.progress import Reporter, Step
from diptych.core.seeds import generator
from diptych.core.specs import ImageSpec
from diptych.core.values import Dataset
from diptych.measure.proportions import proportion
from diptych.targets.adopted import AdoptedNetwork, ForeignConfig
from diptych.targets.foreign import Foreign, Scaling, adopt, read_foreign

SUFFIX = ".onnx"
TRIED_ITEMS = 512
SURE = 0.999
STAGE = "teacher"
NAMED = 3
BYTES = 255.0
KNOWN: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "from 0 to 1": ((0.0,), (1.0,)),
    "from -1 to 1": ((0.5,), (0.5,)),
    "from 0 to 255": ((0.0,), (1 / BYTES,)),
    "as for ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "as for CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "as for MNIST": ((0.1307,), (0.3081,)),
}
"""Means and deviations of pixels from 0 to 1, as people write them."""


def is_foreign(path: Path) -> bool:
    """Say whether a teacher is meant to be an ONNX file.

    Args:
        path: What was given.

    Returns:
        Whether its name says so.
    """
    return path.suffix == SUFFIX


def find_config(path: Path, dataset: Dataset, report: Reporter) -> ForeignConfig:
    """Find out how a model wants pixels: the scaling by which it knows most validation items.

    Args:
        path: An ONNX file of a classifier of pictures.
        dataset: The data.
        report: Told what was found.

    Returns:
        The plan of the teacher.

    Raises:
        ConfigError: If the data is something else, has other labels, or the model knows no more of
            it than chance.
    """
    spec = dataset.spec
    if not isinstance(spec, ImageSpec) or dataset.goal not in {"classification", "ordinal"}:
        raise ConfigError(
            f"an ONNX file can teach to classify pictures, and this is {dataset.task}",
            "leave the teacher out: one is trained",
        )
    foreign = read_foreign(path)
    if foreign.outputs != len(dataset.labels):
        raise ConfigError(
            f"{path} gives {foreign.outputs:,} scores, and the data has {len(dataset.labels):,} "
            f"labels ({', '.join(dataset.labels[:NAMED])}, ...)",
            "give a model of these labels",
        )
    inputs, targets = _some_items(dataset)
    answers = {
        scaling: _answers(foreign, spec, scaling, inputs)
        for scaling in scalings(dataset, takes_bytes=foreign.dtype == "uint8")
    }
    best = max(answers, key=lambda scaling: _knowledge(answers[scaling], targets))
    told = answers[best].argmax(1)
    _check_knows(path, told, targets, dataset.labels)
    note = f"{path.name} takes pixels {best.name}, channels "
    note += f"{'first' if foreign.channels_first else 'last'}: it knows "
    note += f"{(told == targets).sum()} of {len(targets)} validation items"
    report(Step(stage=STAGE, done=1, total=1, note=note))
    return ForeignConfig(path=str(path.resolve()), sha256=sha256_of_file(path), scaling=best)


def scalings(dataset: Dataset, *, takes_bytes: bool = False) -> Sequence[Scaling]:
    """List the ways in which people scale pixels.

    Args:
        dataset: Of pictures.
        takes_bytes: Whether the model takes them as they are.

    Returns:
        The known ones for so many channels, and that by the mean and deviation of this data.
    """
    if takes_bytes:
        return [Scaling(name="as bytes", mean=(0.0,), deviation=(1.0,))]
    pixels = dataset.train.inputs[:: max(1, len(dataset.train) // TRIED_ITEMS)]
    flat = pixels.reshape(-1, pixels.shape[-1]).astype(np.float64)
    own = tuple(flat.mean(0).tolist()), tuple(np.maximum(flat.std(0), 1.0).tolist())
    found = [
        Scaling(
            name=name,
            mean=tuple(BYTES * each for each in mean),
            deviation=tuple(BYTES * each for each in deviation),
        )
        for name, (mean, deviation) in KNOWN.items()
        if len(mean) in {1, pixels.shape[-1]}
    ]
    return [*found, Scaling(name="by their own mean", mean=own[0], deviation=own[1])]


def _some_items(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    split = dataset.validation
    order = generator(dataset.record.seed, "foreign").permutation(len(split))
    chosen = np.sort(order[:TRIED_ITEMS])
    return split.inputs[chosen], split.targets[chosen]


def _answers(foreign: Foreign, spec: ImageSpec, scaling: Scaling, inputs: np.ndarray) -> np.ndarray:
    """Return its logits, float32 (N, K)."""
    network = AdoptedNetwork(adopt(foreign, spec, scaling))
    answers: np.ndarray = network(torch.from_numpy(inputs)).numpy()
    return answers


def _knowledge(logits: np.ndarray, targets: np.ndarray) -> tuple[int, float]:
    """Return how many it knows, and then how likely it finds what is true."""
    loss = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets))
    surprise = float(loss) if loss.isfinite() else math.inf
    return int((logits.argmax(1) == targets).sum()), -surprise


def _check_knows(
    path: Path, answers: np.ndarray, targets: np.ndarray, labels: Sequence[str]
) -> None:
    """Check that a model knows more than chance, and means by its outputs what the data does."""
    count = len(labels)
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (answers, targets), 1)
    meant = table.argmax(1)
    right, renamed = int(np.trace(table)), int(table[np.arange(count), meant].sum())
    told = [output for output in range(count) if table[output].any()]
    is_order = len({int(meant[output]) for output in told}) == len(told)
    if is_order and proportion(renamed, len(targets)).low > proportion(right, len(targets)).high:
        other = next(output for output in told if meant[output] != output)
        raise ConfigError(
            f"{path} has its labels in another order: its output {other} is mostly "
            f"{labels[meant[other]]!r}, which is {labels[other]!r} in the data",
            f"export it with its outputs in the data's order: {', '.join(labels[:NAMED])}, ...",
        )
    most = np.bincount(targets).max() / len(targets)
    if proportion(right, len(targets), SURE).low <= most:
        raise ConfigError(
            f"{path} knows {right} of {len(targets)} validation items, however pixels are scaled: "
            "no more than chance",
            "give a model that was trained on such pictures, with the scaling inside of it",
        )
