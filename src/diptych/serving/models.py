"""The models of a server: opened, named, and warm before the first request."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from diptych.core.errors import ConfigError
from diptych.inference.bundle import Bundle, load
from diptych.serving.predict import PART_ITEMS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
NAMED = re.compile(rf"({NAME.pattern})=(.+)", re.DOTALL)


@contextmanager
def open_models(sources: Sequence[str]) -> Iterator[dict[str, Bundle]]:
    """Open bundles to serve; they are closed at the end.

    Args:
        sources: Folders, or ``NAME=FOLDER`` to serve one under another name than its own.

    Yields:
        The bundles by name, warm.

    Raises:
        ConfigError: If two have the same name, a name does not fit in an address, or the user's own
            task of one is not installed.
    """
    with ExitStack() as stack:
        models: dict[str, Bundle] = {}
        for source in sources:
            name, folder = split_name(source)
            bundle = stack.enter_context(load(folder))
            name = name or bundle.manifest.name
            if not NAME.fullmatch(name):
                hint = f"give it another one: model={source}"
                raise ConfigError(f"the name {name!r} does not fit in an address", hint)
            if name in models:
                hint = f"give one another name: {name}-2={folder}"
                raise ConfigError(f"two bundles are named {name!r}", hint)
            _ = bundle.task  # otherwise found at the first request only
            warm_up(bundle)
            models[name] = bundle
        yield models


def split_name(source: str) -> tuple[str, Path]:
    """Tell a name from a folder.

    Args:
        source: A folder, or ``NAME=FOLDER``.

    Returns:
        The name, empty where none is given, and the folder.
    """
    named = NAMED.fullmatch(source)
    if named is None or Path(source).exists():
        return "", Path(source)
    return named[1], Path(named[2])


def warm_up(bundle: Bundle) -> None:
    """Run a model on blank input, so that the first request is not slower than the others.

    Args:
        bundle: The model.
    """
    sides = [side or 1 for side in bundle.program.input.shape[1:]]
    for num_items in (1, 1, PART_ITEMS):
        bundle.run(np.zeros((num_items, *sides), bundle.program.input.dtype))
