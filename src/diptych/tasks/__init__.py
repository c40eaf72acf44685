"""What goes into and comes out of a model: decode, prepare, labels, metrics; numpy only."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diptych.core.specs import AudioSpec, ImageSpec, InputSpec, TableSpec, TextSpec
from diptych.core.values import Assets
from diptych.tasks import audio, image, table, text

Item = bytes | str | Path | np.ndarray | Mapping[str, object]
Preparer = Callable[[Any], np.ndarray]

PREPARERS: dict[type, Callable[[Any, Assets], Preparer]] = {
    ImageSpec: image.preparer,
    AudioSpec: audio.preparer,
    TextSpec: text.preparer,
    TableSpec: table.preparer,
}
FILE_SUFFIXES: dict[type, tuple[str, ...]] = {
    ImageSpec: image.SUFFIXES,
    AudioSpec: audio.SUFFIXES,
}
"""Inputs that are files, and how their names end; a string is then a path."""


def preparer(spec: InputSpec, assets: Assets) -> Preparer:
    """Make what turns one input into what the graph takes; training and inference both use it.

    Items of a user's own task are prepared by the task, see `diptych.tasks.own`.

    Args:
        spec: What the model was trained on.
        assets: The files that go with the spec.

    Returns:
        A function from the content of a file, its path, an array, a text or a row to one prepared
        item, without the batch axis, as the spec's tensor says; it raises DataError, naming the
        item, if that cannot be used.
    """
    return PREPARERS[type(spec)](spec, assets)
