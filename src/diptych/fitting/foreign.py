"""A teacher that is an ONNX file: how it wants pixels is found out by its answers.

Shapes: N items, K outputs.
"""

from pathlib import Path

import numpy as np
import torch

from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_file
from diptych.core.progress import Reporter, Step
from diptych.core.specs import ImageSpec
from diptych.core.values import Dataset
from diptych.fitting.scalings import (
    TRIED_ITEMS,
    check_knows,
    check_labels,
    knowledge,
    scalings,
    some_items,
)
from diptych.targets.adopted import AdoptedNetwork, ForeignConfig
from diptych.targets.foreign import Foreign, adopt, read_foreign
from diptych.training.compute import items_at_once
from diptych.training.models.given import Scaling

SUFFIX = ".onnx"
STAGE = "teacher"


def is_foreign(path: Path) -> bool:
    """Say whether a teacher is meant to be an ONNX file.

    Args:
        path: What was given.

    Returns:
        Whether its name says so.
    """
    return path.suffix == SUFFIX


def find_config(
    path: Path, dataset: Dataset, report: Reporter, output: str | None = None
) -> ForeignConfig:
    """Find out how a model wants pixels: the scaling by which it knows most validation items.

    Args:
        path: An ONNX file of a classifier of pictures.
        dataset: The data.
        report: Told what was found.
        output: Which of several outputs are the scores.

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
            "fit without a teacher: one is trained",
        )
    foreign = read_foreign(path, output)
    check_labels(path, foreign.outputs, dataset.labels)
    inputs, targets = some_items(dataset)
    answers = {
        scaling: _answers(foreign, spec, scaling, inputs)
        for scaling in scalings(dataset, takes_bytes=foreign.dtype == "uint8")
    }
    best = max(answers, key=lambda scaling: knowledge(answers[scaling], targets))
    told = answers[best].argmax(1)
    check_knows(path, told, targets, dataset.labels)
    note = f"{path.name} takes pixels {best.name}, channels "
    note += f"{'first' if foreign.channels_first else 'last'}: it knows "
    note += f"{(told == targets).sum()} of {len(targets)} validation items"
    report(Step(stage=STAGE, done=1, total=1, note=note))
    return ForeignConfig(
        path=str(path.resolve()), sha256=sha256_of_file(path), scaling=best, output=output
    )


def _answers(foreign: Foreign, spec: ImageSpec, scaling: Scaling, inputs: np.ndarray) -> np.ndarray:
    """Return its logits, float32 (N, K)."""
    network = AdoptedNetwork(adopt(foreign, spec, scaling), name=foreign.name)
    size = items_at_once(inputs.shape, TRIED_ITEMS)
    return np.concatenate(
        [network(part).numpy() for part in torch.split(torch.from_numpy(inputs), size)]
    )
