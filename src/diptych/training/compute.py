"""Computing with a network: on which device, in which precision, with how many threads.

Shapes: N items, K outputs.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from diptych.core.arrays import release
from diptych.core.errors import ConfigError, TrainingError
from diptych.core.seeds import derive
from diptych.training.recipe import Arithmetic, TrainingRecipe

EVALUATION_BATCH = 500
DENORMAL = 1e-39
USUAL_NUMBERS = 1 << 14
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Network = TypeVar("Network", bound=nn.Module)


def find_device(name: str | None) -> torch.device:
    """Find a device to train on.

    Args:
        name: ``cpu``, ``cuda`` or ``cuda:1``; None for the fastest.

    Returns:
        The device.

    Raises:
        ConfigError: If there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"there is no device {name!r}", "choose cpu or cuda") from error
    if device.type not in {"cpu", "cuda"}:
        raise ConfigError(f"training on {name!r} is not supported", "choose cpu or cuda")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        seen = f"{count} of them" if count else "none"
        raise ConfigError(f"there is no device {name!r}: torch sees {seen}", "choose cpu")
    return device


def device_of(network: nn.Module) -> torch.device:
    """Say where a network is.

    Args:
        network: Any network.

    Returns:
        The device of its first parameter or buffer; the processor if it has neither.
    """
    for tensor in network.state_dict().values():
        if isinstance(tensor, Tensor):
            return tensor.device
    return torch.device("cpu")


def tensor_of(array: np.ndarray) -> Tensor:
    """View an array as a tensor, also one that may only be read.

    Args:
        array: Of any shape; it is not copied and must not be written to through the tensor.

    Returns:
        The same numbers.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def autocast(device: torch.device, arithmetic: Arithmetic) -> torch.autocast:
    """Compute in another precision where that loses nothing that matters.

    Args:
        device: Where.
        arithmetic: In what.

    Returns:
        A context.
    """
    enabled = arithmetic != "fp32"
    dtype = DTYPES[arithmetic] if enabled else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=enabled)


def initialize(build: Callable[[], Network], seed: int, *names: str) -> Network:
    """Build a network with weights that depend on the seed alone.

    Args:
        build: Makes the network.
        seed: The root seed.
        names: The name of the stream of randomness.

    Returns:
        The network; torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, *names, "weights"))
        return build()


def items_at_once(shape: Sequence[int], most: int) -> int:
    """Say how many items to compute at once, for memory: fewer of those of many numbers.

    Args:
        shape: Of all inputs, (N, ...).
        most: How many of the usual size, 16,384 numbers or fewer.

    Returns:
        From 1 to `most`.
    """
    return max(1, min(most, most * USUAL_NUMBERS // max(1, math.prod(shape[1:]))))


def compute_outputs(
    network: nn.Module,
    inputs: np.ndarray,
    recipe: TrainingRecipe,
    tell: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Compute outputs in float32, whatever the run's own precision.

    Where the memory does not hold a batch, smaller ones are computed from then on.

    Args:
        network: A network; used in evaluation mode, where it is.
        inputs: Raw inputs (N, ...).
        recipe: Gives the number of threads.
        tell: Called after each batch with how many items have outputs.

    Returns:
        float32 (N, K).

    Raises:
        TrainingError: If the memory does not hold a single item.
        OutOfMemoryError: If it does not hold a batch of a network that is spread over a team.
    """
    network.eval()
    device, parts = device_of(network), []
    start, size = 0, min(items_at_once(inputs.shape, EVALUATION_BATCH), len(inputs))
    with compute_threads(recipe.threads), torch.inference_mode():
        while start < len(inputs):
            try:
                batch = tensor_of(inputs[start : start + size]).to(device)
                parts.append(network(batch).float().cpu().numpy())
            except torch.cuda.OutOfMemoryError as error:
                _check_divisible(network, size, error)
            else:
                start += size
                release(inputs)
                tell(min(start, len(inputs)))
                continue
            size //= 2  # out here the error is gone, which held tensors
            torch.cuda.empty_cache()
    return np.concatenate(parts)


def _check_divisible(network: nn.Module, count: int, error: Exception) -> None:
    """Check that this process can compute fewer items at once, alone."""
    if not all(type(weight.data) is Tensor for weight in network.parameters()):
        raise error  # of a network in shares, all processes compute the same batches
    if count == 1:
        raise TrainingError(
            f"{device_of(network)} has no memory for a single item of this network",
            "use a smaller network",
        ) from error


@contextmanager
def compute_threads(threads: int) -> Iterator[None]:
    """Compute with a fixed number of threads and denormals flushed, then restore both.

    Args:
        threads: At least 1.

    Yields:
        Nothing.
    """
    before, flushed = torch.get_num_threads(), not torch.tensor(DENORMAL) * 1.0
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(before)
