"""Quantization-aware training: a trained network learns to answer well in 8 bits.

Its norms are folded first, so what is trained is what an 8-bit program computes. It imitates a
teacher, or the network that it was in float.
"""

import numpy as np
from msgspec.structs import replace
from torch import nn

from diptych.compression.quantize import moved, quantization_aware
from diptych.core.values import Dataset
from diptych.training.control import CPU, RunControl, TrainedNetwork
from diptych.training.loop import train_network
from diptych.training.objectives import Objective
from diptych.training.recipe import TrainingRecipe

EPOCHS_SHARE = 0.2
LEAST_EPOCHS = 1.0
LEARNING_RATE = 1e-3
WARMUP_SHARE = 0.1


def train_quantized(
    network: nn.Module,
    dataset: Dataset,
    recipe: TrainingRecipe,
    objective: Objective,
    control: RunControl,
    *,
    calibration: np.ndarray,
) -> TrainedNetwork:
    """Train a trained network on, with its numbers rounded to 8 bits.

    Args:
        network: In eval mode; it is not changed.
        dataset: What it was trained on.
        recipe: How to go on; see :func:`quantized_recipe`.
        objective: The loss.
        control: Name, seed, device, deadline, progress and stop request.
        calibration: Raw inputs (M, ...) of the training split, whose extremes are the first ranges.

    Returns:
        A :class:`~diptych.compression.quantize.QuantizedNetwork` on the CPU, and its record.

    Raises:
        TargetError: If torch cannot follow the network, or it has no layer with weights.
        TrainingError: If the loss is not finite or explodes.
    """
    quantized = quantization_aware(network, dataset.spec.tensor(), calibration)
    there = moved(quantized, control.device)
    trained = train_network(there, dataset, recipe, objective, control)
    moved(there, CPU)
    return trained


def quantized_recipe(training: TrainingRecipe) -> TrainingRecipe:
    """Plan how a network that was trained is trained on in 8 bits.

    Args:
        training: How it was trained.

    Returns:
        A fifth of its epochs, with small steps in fp32, which rounding needs; batches, their
        variation and the aim are the same, but for features, which are another thing in 8 bits.
    """
    return replace(
        training,
        epochs=max(LEAST_EPOCHS, EPOCHS_SHARE * training.epochs),
        optimizer="adamw",
        schedule="linear",
        learning_rate=LEARNING_RATE,
        warmup_share=WARMUP_SHARE,
        weight_decay=0.0,
        averaging=0.0,
        similarity=0.0,
        features=0.0,
        freeze_share=0.0,
        layer_decay=1.0,
        arithmetic="fp32",
        compiled=False,
        target_score=None,
        patience=0,
        replans=(),
        cuts=(),
    )
