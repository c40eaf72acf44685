"""What a planned network is trained towards: labels, a teacher's answers, or both.

Shapes: N items, U items without labels, K outputs.
"""

import dataclasses

import numpy as np
import torch

from diptych.compression.answers import Answers
from diptych.compression.distill import distillation, partly_labelled
from diptych.core.values import Dataset
from diptych.tasks.own import task_of
from diptych.training.compute import tensor_of
from diptych.training.control import CPU
from diptych.training.models.own import own_loss
from diptych.training.models.rescaled import target_scale
from diptych.training.objectives import Objective, balancing_weights, learn, learn_labels, mixed
from diptych.training.recipe import TrainingRecipe


def objective_of(
    dataset: Dataset,
    recipe: TrainingRecipe,
    answers: Answers | None = None,
    device: torch.device = CPU,
) -> Objective:
    """Choose what a network is trained towards.

    Args:
        dataset: The data.
        recipe: Smoothing, balance, temperature, and the share of labels beside a teacher.
        answers: Of a teacher, for the items of :func:`lesson_of`; without them labels are learned.
        device: Where the network is trained.

    Returns:
        The loss of a batch.
    """
    scale = target_scale(dataset)[1]
    targets, loss = tensor_of(dataset.train.targets).to(device), own_loss(task_of(dataset))
    if loss is not None:
        labels = learn(loss, targets)
    else:
        labels = learn_labels(
            dataset.goal,
            targets,
            label_smoothing=recipe.label_smoothing,
            class_weights=_balanced(dataset, device) if recipe.balance else None,
            scale=scale,
        )
    if answers is None:
        return labels
    imitation = distillation(dataset.goal, answers, recipe.temperature, scale=scale)
    if not recipe.label_share:
        return imitation
    if dataset.unlabelled is None:
        return mixed(labels, imitation, recipe.label_share)
    return partly_labelled(labels, imitation, recipe.label_share, len(dataset.train))


def lesson_of(dataset: Dataset) -> Dataset:
    """Give what a student learns beside a teacher: items without labels too.

    Args:
        dataset: The data.

    Returns:
        The data, its training split with N + U items; the targets of the last U say nothing.
    """
    train, more = dataset.train, dataset.unlabelled
    if more is None:
        return dataset
    nothing = np.zeros((len(more.items), *train.targets.shape[1:]), train.targets.dtype)
    lesson = dataclasses.replace(
        train,
        inputs=more.joined,
        targets=np.concatenate([train.targets, nothing]),
        items=(*train.items, *more.items),
        originals=None,
    )
    return dataclasses.replace(dataset, train=lesson, unlabelled=None)


def _balanced(dataset: Dataset, device: torch.device) -> torch.Tensor | None:
    """Give what makes all classes count alike, float32 (K,) or (2, K), where there are any."""
    weights = balancing_weights(dataset.goal, dataset.train.targets, len(dataset.labels))
    return None if weights is None else torch.from_numpy(weights.astype(np.float32)).to(device)
