"""Counting what a network computes."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from diptych.core.specs import InputSpec


def forward_flops(network: nn.Module, spec: InputSpec) -> int:
    """Count the floating-point operations of one prediction.

    Args:
        network: Any network.
        spec: What it takes.

    Returns:
        FLOPs, a multiply-add counted as two.
    """
    was_training = network.training
    network.eval()
    counter = FlopCounterMode(display=False)
    tensor = spec.tensor()
    sides = [side or 1 for side in tensor.shape]
    with counter, torch.no_grad():
        network(torch.zeros(sides, dtype=getattr(torch, tensor.dtype)))
    network.train(was_training)
    return int(counter.get_total_flops())
