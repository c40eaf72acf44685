"""Moving what was made on the processor to where a network is trained."""

import torch
from torch import Tensor

SEEDS = 2**62


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


def generator_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """Go on with a stream of randomness where many numbers are wanted.

    Args:
        device: Where they are.
        generator: The stream, on the processor; another device has its seed from it.

    Returns:
        What draws there; on the processor the stream itself.
    """
    if device.type == "cpu":
        return generator
    seed = int(torch.randint(SEEDS, (), generator=generator))
    return torch.Generator(device).manual_seed(seed)
