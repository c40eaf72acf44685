"""Pruning that shrinks: whole channels and heads are removed, then the network learns again.

What matters least goes first, from every layer alike; what is left is a plain network, smaller
and faster on any runtime. Between the steps, and at the end, it is tuned to an objective, such as
the answers that the network gave before it was pruned.

Shapes: N items, C channels or heads of a group.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_fields
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.compression.channels import Group, find_groups, removed, size_of
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
    after each of which but the last it is tuned for `epochs`; `tunings` are how that was really
    done, where it was.
    """

    share: float
    importance: ImportanceName = "taylor"
    steps: Annotated[int, Meta(ge=1, le=32)] = 1
    epochs: Positive = 1.0
    multiple: Annotated[int, Meta(ge=1, le=256)] = 8
    tunings: tuple[TrainingRecipe, ...] = ()

    def __post_init__(self) -> None:
        """Check the share, and what concerns more than one field.

        Raises:
            ConfigError: If the share is nothing or everything, or there is not a tuning between
                each two steps where any is told.
        """
        if not 0.0 < self.share < 1.0:
            raise ConfigError(
                f"the share {self.share:g} of channels cannot be pruned",
                "give a share between 0 and 1, such as 0.5",
            )
        if self.tunings and len(self.tunings) != self.steps - 1:
            raise ConfigError(f"{len(self.tunings)} tunings between {self.steps} steps")


@dataclass(frozen=True, kw_only=True)
class FineTuning:
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
    """A network after pruning, in evaluation mode, and what it was before; `recipe` as followed.

    `widths` are the channels in and out of the layers that were cut. Where nothing could be
    removed, `dropped` says so, and the network is the one that was given. `left` are layers whose
    channels could not be removed without other effects. `runs` are the trainings, in their order.
    """

    network: nn.Module
    recipe: PruneRecipe
    widths: Mapping[str, tuple[int, int]]
    parameters_before: int
    parameters: int
    flops_before: int
    flops: int
    left: tuple[str, ...] = ()
    dropped: str = ""
    runs: tuple[TrainedNetwork, ...] = ()


def prune(
    network: nn.Module,
    dataset: Dataset,
    recipe: PruneRecipe,
    tuning: FineTuning,
    told: Dataset | None = None,
) -> PrunedNetwork:
    """Prune a network and tune it.

    Args:
        network: Any network, trained, on the processor; it is left as it is.
        dataset: Whose training split it learned.
        recipe: How much, how, in how many steps.
        tuning: How it learns again.
        told: What it learns again, such as items without labels too; by default the same data.

    Returns:
        The smaller network.

    Raises:
        TrainingError: If the network cannot be followed, or a training fails.
    """
    lesson = _lesson(dataset, tuning)
    wholes = {group.name: group.size for group in find_groups(network, _checked(lesson))}
    plans, runs = _plans(recipe, tuning.training), list[TrainedNetwork]()
    smaller = network
    for step in range(1, recipe.steps + 1):
        partial = replace(recipe, share=recipe.share * step / recipe.steps)
        with compute_threads(tuning.training.threads):
            cut = shrink(smaller, lesson, partial, wholes)
        if cut is not smaller or (runs and step == recipe.steps):
            runs.append(_tuned(cut, told or dataset, tuning, plans[step - 1 :]))
            smaller, plans[step - 1] = runs[-1].network, runs[-1].recipe
    return PrunedNetwork(
        network=smaller,
        recipe=replace(recipe, tunings=tuple(plans[:-1])),
        widths=_cut_widths(network, smaller),
        parameters_before=size_of(network),
        parameters=size_of(smaller),
        flops_before=forward_flops(network, dataset.spec),
        flops=forward_flops(smaller, dataset.spec),
        left=_left(smaller, lesson, recipe, wholes),
        dropped="" if runs else _nothing(recipe),
        runs=tuple(runs),
    )


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


def widths_after(
    network: nn.Module, dataset: Dataset, recipe: PruneRecipe
) -> dict[str, tuple[int, int]]:
    """Tell how wide layers will be once a network is pruned, before anything is learned.

    Args:
        network: Any network, on the processor; it is left as it is.
        dataset: Whose items it takes.
        recipe: The share, to which multiple; which channels go makes no difference to the widths.

    Returns:
        Channels in and out of the layers that will be cut; none where nothing can be removed.

    Raises:
        TrainingError: If the network cannot be followed.
    """
    inputs, smaller = tensor_of(dataset.train.inputs[:CHECKED_ITEMS]), network
    for group in find_groups(network, inputs):
        keep = kept(group, group.size, recipe)
        if keep < group.size:
            smaller = removed(smaller, group, range(keep, group.size), inputs) or smaller
    return _cut_widths(network, smaller)


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


def _lesson(dataset: Dataset, tuning: FineTuning) -> Lesson:
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


def _plans(recipe: PruneRecipe, training: TrainingRecipe) -> list[TrainingRecipe]:
    """Plan the training after each step: briefly between two, and after the last as it is told."""
    between = replace(training, epochs=recipe.epochs, replans=(), cuts=())
    return [*(recipe.tunings or (between,) * (recipe.steps - 1)), training]


def _tuned(
    network: nn.Module, dataset: Dataset, tuning: FineTuning, plans: Sequence[TrainingRecipe]
) -> TrainedNetwork:
    """Train as the first of the plans says, in its part of the time for all of them."""
    control, after = tuning.control, len(plans) - 1
    if after:
        part = plans[0].epochs / sum(plan.epochs for plan in plans)
        name, deadline = f"{control.name}-{after}-to-go", _part(control, part)
        control = with_fields(control, name=name, deadline=deadline, folder=None)
    network = network.to(control.device)
    run = train_network(network, dataset, plans[0], tuning.objective, control)
    run.network.cpu()
    return run


def _part(control: RunControl, share: float) -> float | None:
    """Return the deadline of a run that may use a share of the time that is left."""
    if control.deadline is None:
        return None
    now = control.clock()
    return now + share * (control.deadline - now)


def _left(
    network: nn.Module, lesson: Lesson, recipe: PruneRecipe, wholes: Mapping[str, int]
) -> tuple[str, ...]:
    """Return the groups that still have more channels than they should."""
    return tuple(
        group.name
        for group in find_groups(network, _checked(lesson))
        if group.size > kept(group, wholes.get(group.name, group.size), recipe)
    )


def _cut_widths(network: nn.Module, smaller: nn.Module) -> dict[str, tuple[int, int]]:
    before, after = widths_of(network), widths_of(smaller)
    return {name: width for name, width in after.items() if width != before[name]}


def _nothing(recipe: PruneRecipe) -> str:
    return (
        f"a share of {recipe.share:g} of its channels in multiples of {recipe.multiple} is nothing "
        "that can be removed"
    )
