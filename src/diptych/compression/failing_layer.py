"""Where in a network something fails: the layer that torch cannot follow, or of an operation.

It is asked for only once something has failed, so it takes as long as following takes.
"""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from diptych.core.silence import silent_python
from diptych.core.specs import TensorSpec
from diptych.training.models.given import GivenNetwork

EXAMPLES = 2
LARGEST_BATCH = 1 << 16


@contextmanager
def hushed() -> Iterator[None]:
    """Keep torch from printing the graph that it could not go on with.

    Yields:
        Nothing.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with silent_python(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def place_of(network: nn.Module, spec: TensorSpec, operation: str = "") -> str:
    """Say where an operation is, or where torch fails to follow a network.

    Args:
        network: In eval mode.
        spec: The input; its first axis is the free batch axis.
        operation: Such as ``aten.erfinv.default``.

    Returns:
        Such as `` in layer 'block.0' (Conv2d)``; nothing where it is not known.
    """
    twin, entered = copy.deepcopy(network).cpu().eval(), list[str]()

    def leave(*_: object) -> None:
        entered.pop()

    for name, layer in twin.named_modules():
        layer.register_forward_pre_hook(lambda _, __, name=name: entered.append(name))
        layer.register_forward_hook(leave)
    shape = [EXAMPLES if size is None else size for size in spec.shape]
    example = torch.zeros(shape, dtype=getattr(torch, spec.dtype))
    batch = torch.export.Dim("N", min=1, max=LARGEST_BATCH)
    try:
        with hushed():
            program = torch.export.export(twin, (example,), dynamic_shapes=({0: batch},))
            nodes = program.run_decompositions().graph.nodes
    except Exception:  # noqa: BLE001  it has failed before, and is told by whoever asks
        return _told(twin, entered[-1]) if entered else ""
    for node in nodes:
        if operation and str(node.target).startswith(operation):
            path = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
            return _told(twin, path[-1]) if path else ""
    return ""


def _told(network: nn.Module, name: str) -> str:
    """Name a layer as its owner does."""
    kind = type(network.get_submodule(name)).__name__
    shown = (
        name.removeprefix("network").removeprefix(".")
        if isinstance(network, GivenNetwork)
        else name
    )
    return f" in layer {shown!r} ({kind})" if shown else f" in the forward of {kind}"
