"""Distillation: a student learns a teacher's answers to the same varied inputs.

Shapes: N training items, B batch, K outputs.

Source: G. Hinton, O. Vinyals and J. Dean, 2015; the same view of an item for both, from L. Beyer
et al., "Knowledge distillation: a good teacher is patient and consistent", 2021.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from diptych.compression.answers import Answers
from diptych.core.values import Goal
from diptych.training.objectives import Loss, Objective, mixed, over_members, squared_error


def distillation(
    goal: Goal, answers: Answers, temperature: float, *, scale: float = 1.0
) -> Objective:
    """Make the objective of imitating a teacher.

    Args:
        goal: What the outputs are.
        answers: The teacher's outputs for a batch.
        temperature: Softens both distributions; at least 1 in practice, without effect on numbers.
        scale: For numbers, the size of a difference that costs 1.

    Returns:
        For classes the Kullback-Leibler divergence from teacher to student times the temperature
        squared, for several labels its mean over them, for numbers the mean squared difference.
    """
    losses: dict[Goal, Callable[[], Loss]] = {
        "classification": lambda: divergence(temperature),
        "multi-label": lambda: binary_divergence(temperature),
        "ordinal": lambda: divergence(temperature),
        "regression": lambda: squared_error(scale),
    }
    loss = losses[goal]()

    def objective(inputs: Tensor, outputs: Tensor, chosen: Tensor) -> Tensor:
        return over_members(loss, outputs, answers(inputs, chosen))

    return objective


def partly_labelled(
    labels: Objective, imitation: Objective, share: float, num_labelled: int
) -> Objective:
    """Mix the loss on labels into that of imitation, where items have labels.

    Args:
        labels: The loss of items that have labels.
        imitation: The loss of any items.
        share: How much labels count for an item that has one.
        num_labelled: How many items have labels: the first ones.

    Returns:
        The mean over a batch of what each of its items costs.
    """
    both = mixed(labels, imitation, share)

    def objective(inputs: Tensor, outputs: Tensor, chosen: Tensor) -> Tensor:
        known = chosen < num_labelled
        part = int(known.sum()) / len(chosen)
        if part == 1:
            return both(inputs, outputs, chosen)
        if part == 0:
            return imitation(inputs, outputs, chosen)
        rest = ~known
        with_labels = both(inputs[known], outputs[known], chosen[known])
        return part * with_labels + (1 - part) * imitation(
            inputs[rest], outputs[rest], chosen[rest]
        )

    return objective


def divergence(temperature: float) -> Loss:
    """Make the loss between two distributions over classes.

    Args:
        temperature: Softens both.

    Returns:
        The mean divergence from wanted to given logits, times the temperature squared.
    """

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        return temperature**2 * functional.kl_div(
            functional.log_softmax(logits / temperature, dim=1),
            functional.log_softmax(wanted / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )

    return loss


def binary_divergence(temperature: float) -> Loss:
    """Make the loss between probabilities of labels, each on its own.

    Args:
        temperature: Softens both.

    Returns:
        The mean divergence over items and labels, times the temperature squared.
    """

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        given, aim = _both_sides(logits / temperature), _both_sides(wanted / temperature)
        per_label = functional.kl_div(given, aim, reduction="none", log_target=True).sum(0)
        return temperature**2 * per_label.mean()

    return loss


def _both_sides(logits: Tensor) -> Tensor:
    """Return the log-probabilities of having a label and of not having it, (2, B, K)."""
    return torch.stack([functional.logsigmoid(logits), functional.logsigmoid(-logits)])
