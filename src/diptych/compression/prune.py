"""Pruning that shrinks: whole channels and heads are removed, then the network learns again.

What matters least goes first, from every layer alike; what is left is a plain network, smaller
and faster on any runtime. Between the steps, and at the end, it is tuned to an objective, such as
the answers that the network gave before it was pruned.

Shapes: N items, C channels or heads of a group.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as with_fields
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.compression.channels import Group, find_groups, removed
from diptych.compression.importance import IMPORTANCES, ImportanceName, Lesson
from diptych.core.errors import ConfigError
from diptych.core.seeds import generator
from diptych.core.specs import Value
from diptych.core.values import Dataset
from diptych.training.compute import compute_threads, tensor_of
from diptych.training.control import RunControl, TrainedNetwork
from diptych.training.flops import forward_flops
from diptych.training.loop import train_network
from diptych.training.models.pruned import widths_of
from diptych.training.objectives import Objective
from diptych.training.recipe import Positive, TrainingRecipe

LESSON_ITEMS = 1024
CHECKED_ITEMS = 8


class PruneRecipe(Value):
    """How much of a network is removed, and how.

    `share` of the channels of every layer that can do without, and of the heads of every attention;
    channels stay a multiple of `multiple`, which fills a processor's vectors. `importance` decides
    which: `taylor` by the slope of the loss on labels, `scale` by the weights alone. In `steps`,
    after each of which but the last it is tuned for `epochs`.
    """

    share: float
    importance: ImportanceName = "taylor"
    steps: Annotated[int, Meta(ge=1, le=32)] = 1
    epochs: Positive = 1.0
    multiple: Annotated[int, Meta(ge=1, le=256)] = 8

    def __post_init__(self) -> None:
        """Check the share where it comes from a script too.

        Raises:
            ConfigError: If it is nothing or everything.
        """
        if not 0.0 < self.share < 1.0:
            raise ConfigError(
                f"the share {self.share:g} of channels cannot be pruned",
                "give a share between 0 and 1, such as 0.5",
            )


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How a pruned network learns again.

    `labels` is the loss on labels that importance is measured by, on the processor; `objective` is
    what the network is tuned to, on the device of `control`, as `training` says.
    """

    labels: Objective
    objective: Objective
    training: TrainingRecipe
    control: RunControl


@dataclass(frozen=True, kw_only=True)
class PrunedNetwork:
    """A network after pruning, in evaluation mode, and what it was before.

    `widths` are the channels in and out of the layers that were cut. Where nothing could be
    removed, `dropped` says so, and the network is the one that was given. `runs` are the trainings,
    the last one at the end.
    """

    network: nn.Module
    widths: Mapping[str, tuple[int, int]]
    parameters_before: int
    parameters: int
    flops_before: int
    flops: int
    dropped: str = ""
    runs: tuple[TrainedNetwork, ...] = ()


def prune(
    network: nn.Module, dataset: Dataset, recipe: PruneRecipe, tuning: Tuning
) -> PrunedNetwork:
    """Prune a network and tune it.

    Args:
        network: Any network, trained, on the processor; it is left as it is.
        dataset: Whose training split it learned.
        recipe: How much, how, in how many steps.
        tuning: How it learns again.

    Returns:
        The smaller network.

    Raises:
        TrainingError: If the network cannot be followed, or a training fails.
    """
    lesson = _lesson(dataset, tuning)
    wholes = {group.name: group.size for group in find_groups(network, _checked(lesson))}
    smaller, runs = network, list[TrainedNetwork]()
    for step in range(1, recipe.steps + 1):
        partial = replace(recipe, share=recipe.share * step / recipe.steps)
        with compute_threads(tuning.training.threads):
            cut = shrink(smaller, lesson, partial, wholes)
        last = step == recipe.steps
        if cut is not smaller or (last and runs):
            run = _tuned(cut, dataset, tuning, recipe, step)
            runs.append(run)
            smaller = run.network
    return _summary(network, smaller, dataset, recipe, tuple(runs))


def shrink(
    network: nn.Module, lesson: Lesson, recipe: PruneRecipe, wholes: Mapping[str, int]
) -> nn.Module:
    """Remove the channels and heads that matter least, without tuning.

    Args:
        network: Any network; it is left as it is.
        lesson: What to judge channels by.
        recipe: The share, of which importance, to which multiple.
        wholes: How many channels or heads each group had before any was removed.

    Returns:
        A smaller network; the same one where nothing can be removed.
    """
    inputs = _checked(lesson)
    groups = find_groups(network, inputs)
    scores = IMPORTANCES[recipe.importance](network, groups, lesson)
    smaller = network
    for group, score in zip(groups, scores, strict=True):
        keep = kept(group, wholes.get(group.name, group.size), recipe)
        if keep < group.size:
            out = _least(score, group.size - keep)
            smaller = removed(smaller, group, out, inputs) or smaller
    return smaller


def kept(group: Group, whole: int, recipe: PruneRecipe) -> int:
    """Say how many channels or heads of a group stay.

    Args:
        group: As it is now.
        whole: How many it had at first.
        recipe: The share of those to remove, and the multiple that channels stay of.

    Returns:
        From 1 to the group's size.
    """
    multiple = 1 if group.of_heads else recipe.multiple
    wanted = whole * (1 - recipe.share)
    return min(group.size, max(multiple, multiple * math.floor(wanted / multiple + 0.5)))


def _least(scores: Tensor, count: int) -> list[int]:
    """Return the channels of the lowest scores, in their order; of equal ones the last."""
    order = torch.argsort(scores, descending=True, stable=True)
    return sorted(order[len(order) - count :].tolist())


def _lesson(dataset: Dataset, tuning: Tuning) -> Lesson:
    control, split = tuning.control, dataset.train
    order = generator(control.seed, control.name, "pruning").permutation(len(split))
    chosen = np.sort(order[:LESSON_ITEMS])
    return Lesson(
        inputs=tensor_of(np.ascontiguousarray(split.inputs[chosen])),
        chosen=torch.from_numpy(chosen),
        objective=tuning.labels,
    )


def _checked(lesson: Lesson) -> Tensor:
    return lesson.inputs[:CHECKED_ITEMS]


def _tuned(
    network: nn.Module, dataset: Dataset, tuning: Tuning, recipe: PruneRecipe, step: int
) -> TrainedNetwork:
    """Train after a step: for as long as the recipe says, and after the last as the plan says."""
    control, training = tuning.control, tuning.training
    if step < recipe.steps:
        left = recipe.epochs * (recipe.steps - step) + training.epochs
        training = replace(training, epochs=recipe.epochs)
        control = with_fields(
            control,
            name=f"{control.name}-step-{step}",
            deadline=_part(control, recipe.epochs / left),
            folder=None,
        )
    network = network.to(control.device)
    run = train_network(network, dataset, training, tuning.objective, control)
    run.network.cpu()
    return run


def _part(control: RunControl, share: float) -> float | None:
    """Return the deadline of a run that may use a share of the time that is left."""
    if control.deadline is None:
        return None
    now = control.clock()
    return now + share * (control.deadline - now)


def _summary(
    network: nn.Module,
    smaller: nn.Module,
    dataset: Dataset,
    recipe: PruneRecipe,
    runs: tuple[TrainedNetwork, ...],
) -> PrunedNetwork:
    before, after = widths_of(network), widths_of(smaller)
    return PrunedNetwork(
        network=smaller,
        widths={name: width for name, width in after.items() if width != before[name]},
        parameters_before=_parameters(network),
        parameters=_parameters(smaller),
        flops_before=forward_flops(network, dataset.spec),
        flops=forward_flops(smaller, dataset.spec),
        dropped="" if runs else _nothing(recipe),
        runs=runs,
    )


def _nothing(recipe: PruneRecipe) -> str:
    return (
        f"a share of {recipe.share:g} of its channels in multiples of {recipe.multiple} is nothing "
        "that can be removed"
    )


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
