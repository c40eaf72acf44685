"""Distillation: a student learns a teacher's answers to the same varied inputs.

Shapes: N training items, B batch, K outputs.

Source: G. Hinton, O. Vinyals and J. Dean, 2015; the same view of an item for both, from L. Beyer
et al., "Knowledge distillation: a good teacher is patient and consistent", 2021.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from diptych.core.values import Goal
from diptych.training.compute import autocast
from diptych.training.objectives import Loss, Objective, over_members, squared_error
from diptych.training.recipe import Arithmetic

Answers = Callable[[Tensor, Tensor], Tensor]
"""(inputs (B, ...), chosen int64 (B,)) to the teacher's outputs float32 (B, K)."""


def distillation(
    goal: Goal, answers: Answers, temperature: float, *, scale: float = 1.0
) -> Objective:
    """Make the objective of imitating a teacher.

    Args:
        goal: What the outputs are.
        answers: The teacher's outputs for a batch; see :func:`running` and :func:`recorded`.
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


def running(teacher: nn.Module, arithmetic: Arithmetic = "fp32") -> Answers:
    """Have a teacher answer each batch as it comes.

    Args:
        teacher: A network in evaluation mode that takes what the student takes.
        arithmetic: What it computes in.

    Returns:
        Its answers; no gradient reaches it.
    """

    def answer(inputs: Tensor, chosen: Tensor) -> Tensor:
        with torch.no_grad(), autocast(inputs.device, arithmetic):
            outputs: Tensor = teacher(inputs)
            return outputs.float()

    return answer


def recorded(outputs: Tensor) -> Answers:
    """Look a teacher's answers up, where inputs do not vary or it cannot run here.

    Args:
        outputs: float32 (N, K), its outputs for the training split.

    Returns:
        Its answers.
    """

    def answer(inputs: Tensor, chosen: Tensor) -> Tensor:
        return outputs[chosen]

    return answer


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
