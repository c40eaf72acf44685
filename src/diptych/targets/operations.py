"""Keep the exporter's table of operations, which takes a second to make, from export to export."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from torch.onnx._internal.exporter._registration import ONNXRegistry

_make = vars(ONNXRegistry)["from_torchlib"]
_kept = staticmethod(cache(ONNXRegistry.from_torchlib))


@contextmanager
def kept_operations() -> Iterator[None]:
    """Let exports share one table, as those may that add no operation of their own.

    Yields:
        Nothing.
    """
    ONNXRegistry.from_torchlib = _kept  # type: ignore[method-assign]
    try:
        yield
    finally:
        ONNXRegistry.from_torchlib = _make  # type: ignore[method-assign]
