"""How a user's module wants its inputs: tried with each way in which people give them.

Shapes: N items, K outputs.
"""

from collections.abc import Iterator

import numpy as np
import torch
from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.progress import Reporter, Step
from diptych.core.specs import AudioSpec, ImageSpec, TextSpec
from diptych.core.values import Dataset
from diptych.fitting.given import STAGE
from diptych.fitting.scalings import (
    TRIED_ITEMS,
    check_knows,
    check_labels,
    knowledge,
    scalings,
    some_items,
)
from diptych.training.compute import items_at_once
from diptych.training.models.given import Given, GivenConfig, GivenNetwork, Scaling

FEW_ITEMS = 64
BATCHES = (1, 3)
BEST = 3
LOUDEST = 32768.0
CLOSE = 1e-4


def find_given(given: Given, dataset: Dataset, report: Reporter) -> GivenConfig:
    """Find out how a module wants its inputs: the way by which it knows most validation items.

    Args:
        given: The module.
        dataset: The data.
        report: Told what was found.

    Returns:
        The plan of the teacher.

    Raises:
        ConfigError: If the module cannot compute with the data, has other labels, answers by
            chance, or knows no more of the data than chance.
    """
    if isinstance(dataset.spec, TextSpec) or dataset.goal not in {"classification", "ordinal"}:
        raise ConfigError(
            f"a module can teach to classify pictures, sound and tables, and this is "
            f"{dataset.task}",
            "leave it out, or give a bundle or a Hugging Face folder",
        )
    inputs, targets = some_items(dataset)
    few, known = inputs[:FEW_ITEMS], targets[:FEW_ITEMS]
    ways = _working(given, dataset, few[: max(BATCHES)])
    _check_same(given, ways[0], few)
    tried = {way: knowledge(_answers(given, way, few), known) for way in ways}
    ways = sorted(ways, key=lambda way: tried[way], reverse=True)[:BEST]
    answers = {way: _answers(given, way, inputs) for way in ways}
    best = max(ways, key=lambda way: knowledge(answers[way], targets))
    told = answers[best].argmax(1)
    check_knows(given.source, told, targets, dataset.labels)
    note = f"{given.source} takes {_told(best, dataset)}: it knows "
    note += f"{(told == targets).sum()} of {len(targets)} validation items"
    report(Step(stage=STAGE, done=1, total=1, note=note))
    return replace(best, probabilities=_are_probabilities(answers[best]))


def _ways(given: Given, dataset: Dataset) -> Iterator[GivenConfig]:
    """List the ways in which people give inputs to a network, raw ones first."""
    raw = GivenConfig(source=given.source, sha256=given.sha256, output=given.output)
    yield raw
    if isinstance(dataset.spec, ImageSpec):
        for first in (True, False):
            for scaling in scalings(dataset):
                yield replace(raw, scaling=scaling, channels_first=first)
    if isinstance(dataset.spec, AudioSpec):
        loud = Scaling(name="from -1 to 1", mean=(0.0,), deviation=(LOUDEST,))
        yield replace(raw, scaling=loud)


def _working(given: Given, dataset: Dataset, inputs: np.ndarray) -> list[GivenConfig]:
    """List those of them by which a module gives scores (N, K) for any N."""
    found, errors = list[GivenConfig](), dict[bool, Exception]()
    for way in _ways(given, dataset):
        try:
            for count in BATCHES:
                _check_scores(given, _scores(given, way, inputs[:count]), count, dataset)
        except Exception as error:  # noqa: BLE001  a user's code may raise anything
            errors.setdefault(way.channels_first, error)
        else:
            found.append(way)
    if found:
        return found
    reason = errors.get(True) or errors[False]
    if isinstance(reason, ConfigError):
        raise reason
    shape = "x".join(map(str, inputs.shape[1:]))
    raise ConfigError(
        f"{given.source} raises {type(reason).__name__} on {shape} {dataset.task}: {reason}",
        "its forward takes one batch of items, of any number, and gives scores (N, K)",
    ) from reason


def _answers(given: Given, way: GivenConfig, inputs: np.ndarray) -> np.ndarray:
    """Return its scores for any number of items, float32 (N, K)."""
    size = items_at_once(inputs.shape, TRIED_ITEMS)
    starts = range(0, len(inputs), size)
    return np.concatenate([_scores(given, way, inputs[at : at + size]) for at in starts])


def _scores(given: Given, way: GivenConfig, inputs: np.ndarray) -> np.ndarray:
    """Return what it gives for one batch: scores, float32 (N, K), if it is of use."""
    network = GivenNetwork(given.network, way).eval()
    with torch.no_grad():
        scores: np.ndarray = network(torch.tensor(inputs)).numpy()
    return scores


def _check_scores(given: Given, answers: np.ndarray, count: int, dataset: Dataset) -> None:
    if answers.ndim != 2 or len(answers) != count:
        raise ConfigError(
            f"{given.source} gives {answers.shape} for a batch of {count}, no scores (N, K)",
            "its forward takes one batch of items, of any number, and gives scores (N, K)",
        )
    check_labels(given.source, answers.shape[1], dataset.labels)
    if not np.isfinite(answers).all():
        raise ConfigError(f"{given.source} gives scores that are not finite", "train it again")


def _check_same(given: Given, way: GivenConfig, inputs: np.ndarray) -> None:
    """Check that a module answers the same twice."""
    first, again = (_answers(given, way, inputs) for _ in range(2))
    if np.allclose(first, again, CLOSE, CLOSE * float(np.abs(first).max())):
        return
    layers, repeated = (_watched(given, way, inputs[: max(BATCHES)]) for _ in range(2))
    other = (name for name in layers if not torch.equal(layers[name], repeated[name]))
    raise ConfigError(
        f"{given.source} answers the same items differently each time, first in "
        f"{next(other, 'its own forward')}",
        "turn chance off in evaluation mode: functional.dropout(x, training=self.training)",
    )


def _watched(given: Given, way: GivenConfig, inputs: np.ndarray) -> dict[str, torch.Tensor]:
    """Return what each layer gave, all of it at once, in the order in which they are done."""
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> object:
        def hook(_: object, __: object, outputs: object) -> None:
            if isinstance(outputs, torch.Tensor):
                seen[name] = outputs

        return hook

    hooks = [
        layer.register_forward_hook(keep(name))
        for name, layer in given.network.named_modules()
        if name and not isinstance(given.network, torch.fx.GraphModule)
    ]
    _scores(given, way, inputs)
    for hook in hooks:
        hook.remove()
    return seen


def _are_probabilities(answers: np.ndarray) -> bool:
    return bool((answers >= 0).all()) and np.allclose(answers.sum(1), 1.0, atol=1e-3)


def _told(way: GivenConfig, dataset: Dataset) -> str:
    if way.scaling is None:
        return "raw inputs"
    if not isinstance(dataset.spec, ImageSpec):
        return f"inputs {way.scaling.name}"
    return f"pixels {way.scaling.name}, channels {'first' if way.channels_first else 'last'}"
