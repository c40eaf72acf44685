"""Distillation: a student learns the teacher's answers to the same varied pictures.

Shapes: B batch, K classes.

Source: G. Hinton, O. Vinyals and J. Dean, 2015; the same view of an item for both, from L. Beyer
et al., "Knowledge distillation: a good teacher is patient and consistent", 2021.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from diptych.training.objectives import Objective


def distillation(teacher: nn.Module, temperature: float, *, bf16: bool) -> Objective:
    """Make the objective of imitating a teacher.

    Args:
        teacher: A network in evaluation mode that takes what the student takes.
        temperature: Softens both distributions; at least 1 in practice.
        bf16: Compute the teacher's answers in bfloat16.

    Returns:
        The Kullback-Leibler divergence from teacher to student, times the temperature squared.
    """

    def loss(inputs: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            wanted = teacher(inputs).float()
        return temperature**2 * functional.kl_div(
            functional.log_softmax(logits / temperature, dim=1),
            functional.log_softmax(wanted / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )

    return loss
