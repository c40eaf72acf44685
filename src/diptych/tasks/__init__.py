"""What goes into and comes out of a model: decode, prepare, labels, metrics; numpy only."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from diptych.core.specs import ImageSpec, InputSpec
from diptych.tasks import image

Item = bytes | str | Path | np.ndarray

PREPARERS: dict[type, Callable[[Item, InputSpec], np.ndarray]] = {
    ImageSpec: image.prepare,
}


def prepare(value: Item, spec: InputSpec) -> np.ndarray:
    """Turn one input into what the graph takes; training and inference both call this.

    Args:
        value: The content of a file, the path of a file, or an array.
        spec: What the model was trained on.

    Returns:
        One prepared item, without the batch axis, as the spec's tensor says.

    Raises:
        DataError: If the value cannot be used; it is named.
    """
    return PREPARERS[type(spec)](value, spec)
