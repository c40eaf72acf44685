"""What a model that was made elsewhere knows, tried with each way in which people scale inputs.

Shapes: N items, K outputs.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from diptych.core.errors import ConfigError
from diptych.core.seeds import generator
from diptych.core.values import Dataset
from diptych.measure.proportions import proportion
from diptych.training.models.given import Scaling

TRIED_ITEMS = 512
SURE = 0.999
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


def some_items(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Choose validation items to try a model on.

    Args:
        dataset: The data.

    Returns:
        Their raw inputs (N, ...) and targets (N,), N at most 512.
    """
    split = dataset.validation
    order = generator(dataset.record.seed, "foreign").permutation(len(split))
    chosen = np.sort(order[:TRIED_ITEMS])
    return split.inputs[chosen], split.targets[chosen]


def knowledge(logits: np.ndarray, targets: np.ndarray) -> tuple[int, float]:
    """Say how much a model knows.

    Args:
        logits: float32 (N, K).
        targets: int64 (N,).

    Returns:
        How many items it knows, and then how likely it finds what is true.
    """
    loss = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets))
    surprise = float(loss) if loss.isfinite() else math.inf
    return int((logits.argmax(1) == targets).sum()), -surprise


def check_labels(path: object, scores: int, labels: Sequence[str]) -> None:
    """Check that a model gives as many scores as there are labels.

    Args:
        path: What to call it.
        scores: How many it gives.
        labels: Those of the data.

    Raises:
        ConfigError: If it gives fewer or more.
    """
    if scores != len(labels):
        raise ConfigError(
            f"{path} gives {scores:,} scores, and the data has {len(labels):,} labels "
            f"({', '.join(labels[:NAMED])}, ...)",
            "give a model of these labels",
        )


def is_chance(right: int, targets: np.ndarray) -> bool:
    """Say whether a model may know no more than chance.

    Args:
        right: How many items it knows.
        targets: What is true, int64 (N,).

    Returns:
        Whether it could be as many by always naming the most frequent label.
    """
    most = np.bincount(targets).max() / len(targets)
    return bool(proportion(right, len(targets), SURE).low <= most)


def check_knows(
    path: object, answers: np.ndarray, targets: np.ndarray, labels: Sequence[str]
) -> None:
    """Check that a model knows more than chance, and means by its outputs what the data does.

    Args:
        path: What to call it.
        answers: The outputs of the highest score, int64 (N,).
        targets: What is true, int64 (N,).
        labels: What outputs stand for in the data.

    Raises:
        ConfigError: If its labels are in another order, or it knows no more than chance.
    """
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
    if is_chance(right, targets):
        raise ConfigError(
            f"{path} knows {right} of {len(targets)} validation items, however pixels are scaled: "
            "no more than chance",
            "give a model that was trained on such pictures, with the scaling inside of it",
        )
