"""Moving what was made on the processor to where a network is trained."""

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the processor to where it is needed, without waiting for what is computed.

    Args:
        tensor: Small, or made for this.
        device: Where it is needed.

    Returns:
        The copy; the tensor itself where it is there already.
    """
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
