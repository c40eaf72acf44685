"""What a network is trained towards: the labels of the training split, by goal.

Shapes: N training items, B batch, M members of an ensemble, K outputs.

Source: the term for classes with an order: L. Hou, C.-P. Yu and D. Samaras, "Squared earth
mover's distance-based loss for training deep neural networks", 2016.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from diptych.core.values import Goal

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(inputs (B, ...), outputs float32 (B, K) or (B, M, K), chosen int64 (B,)) to a scalar loss."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs float32 (B, K), wanted (B, ...)) to a scalar, a mean over the batch."""


def learn_labels(
    goal: Goal,
    targets: Tensor,
    *,
    label_smoothing: float,
    class_weights: Tensor | None = None,
    scale: float = 1.0,
) -> Objective:
    """Make the objective of learning labels.

    Args:
        goal: What the labels are.
        targets: Those of the training split: int64 (N,) for classes, float32 (N, K) of 0 and 1 for
            several labels, float32 (N,) for numbers.
        label_smoothing: The share of the probability spread over all classes; without effect on
            numbers.
        class_weights: float32 (K,), what an item of each class weighs; for several labels (2, K),
            an item without and with each. Equal by default.
        scale: For numbers, the size of an error that costs 1.

    Returns:
        The mean loss of a batch, over the members too where outputs are an ensemble's.
    """
    losses: dict[Goal, Callable[[], Loss]] = {
        "classification": lambda: cross_entropy(label_smoothing, class_weights),
        "multi-label": lambda: binary_cross_entropy(label_smoothing, class_weights),
        "ordinal": lambda: ordered_cross_entropy(label_smoothing, class_weights),
        "regression": lambda: squared_error(scale),
    }
    return learn(losses[goal](), targets)


def balancing_weights(goal: Goal, targets: np.ndarray, outputs: int) -> np.ndarray | None:
    """Weigh classes so that each counts as much as the others.

    Of several labels each is weighed as two classes: the items without and with it.

    Args:
        goal: What the labels are.
        targets: Those of the training split, as `learn_labels` takes them.
        outputs: K.

    Returns:
        (K,), or (2, K) for several labels, on average 1 over the training items; None for numbers.
    """
    if goal == "regression":
        return None
    if goal == "multi-label":
        having = (targets > 0).sum(0)
        counts = np.stack([len(targets) - having, having])
    else:
        counts = np.bincount(targets, minlength=outputs)
    counts = counts.clip(1)
    return np.asarray(counts.sum(0) / (len(counts) * counts))


def learn(loss: Loss, targets: Tensor) -> Objective:
    """Make the objective of lowering a loss.

    Args:
        loss: Of a batch's outputs and what is wanted of them.
        targets: Those of the training split, (N, ...).

    Returns:
        The loss of a batch, the mean over the members too where outputs are an ensemble's.
    """

    def objective(inputs: Tensor, outputs: Tensor, chosen: Tensor) -> Tensor:
        return over_members(loss, outputs, targets[chosen])

    return objective


def over_members(loss: Loss, outputs: Tensor, wanted: Tensor) -> Tensor:
    """Compute a loss, the mean over the members of an ensemble.

    Args:
        loss: Of one network.
        outputs: (B, K), or (B, M, K) of M members.
        wanted: (B, ...), the same for each member.

    Returns:
        A scalar.
    """
    if outputs.dim() == 2:
        return loss(outputs, wanted)
    return loss(outputs.flatten(0, 1), wanted.repeat_interleave(outputs.shape[1], dim=0))


def mixed(first: Objective, second: Objective, share: float) -> Objective:
    """Mix two objectives.

    Args:
        first: One.
        second: The other.
        share: How much the first counts, from 0 to 1; the second counts the rest.

    Returns:
        Their weighted mean.
    """

    def objective(inputs: Tensor, outputs: Tensor, chosen: Tensor) -> Tensor:
        one, other = first(inputs, outputs, chosen), second(inputs, outputs, chosen)
        return share * one + (1 - share) * other

    return objective


def cross_entropy(label_smoothing: float, class_weights: Tensor | None = None) -> Loss:
    """Make the loss of learning classes.

    Args:
        label_smoothing: The share of the probability spread over all classes.
        class_weights: float32 (K,), what an item of each class weighs, on average 1.

    Returns:
        The mean over items of weight times cross entropy, in nats: that of a batch is the mean of
        those of its halves.
    """
    plain = partial(functional.cross_entropy, label_smoothing=label_smoothing)
    if class_weights is None:
        return plain

    def weighted(logits: Tensor, wanted: Tensor) -> Tensor:
        return (class_weights[wanted] * plain(logits, wanted, reduction="none")).mean()

    return weighted


def ordered_cross_entropy(label_smoothing: float, class_weights: Tensor | None = None) -> Loss:
    """Make the loss of learning classes with an order.

    Args:
        label_smoothing: The share of the probability spread over all classes.
        class_weights: float32 (K,), what an item of each class weighs, on average 1.

    Returns:
        The mean over items of weight times the sum of cross entropy and squared earth mover's
        distance, in steps.
    """
    entropy = cross_entropy(label_smoothing, class_weights)

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        below = logits.softmax(1).cumsum(1)
        steps = torch.arange(logits.shape[1], device=logits.device)
        wanted_below = (wanted[:, None] <= steps).to(below.dtype)
        distances = ((below - wanted_below) ** 2).sum(1)
        if class_weights is not None:
            distances = class_weights[wanted] * distances
        return entropy(logits, wanted) + distances.mean()

    return loss


def binary_cross_entropy(label_smoothing: float, label_weights: Tensor | None = None) -> Loss:
    """Make the loss of learning several labels.

    Args:
        label_smoothing: How far 0 and 1 are drawn towards 0.5.
        label_weights: float32 (2, K), what an item without and one with each label weighs there.

    Returns:
        The mean over items and labels of weight times binary cross entropy, in nats.
    """

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        smooth = wanted * (1 - label_smoothing) + label_smoothing / 2
        weights = None
        if label_weights is not None:
            weights = torch.where(wanted > 0, label_weights[1], label_weights[0])
        return functional.binary_cross_entropy_with_logits(logits, smooth, weight=weights)

    return loss


def squared_error(scale: float) -> Loss:
    """Make the loss of learning numbers.

    Args:
        scale: The size of an error that costs 1, such as the targets' standard deviation.

    Returns:
        The mean squared error in units of the scale.
    """

    def loss(outputs: Tensor, wanted: Tensor) -> Tensor:
        return (((outputs - wanted.reshape(outputs.shape)) / scale) ** 2).mean()

    return loss
