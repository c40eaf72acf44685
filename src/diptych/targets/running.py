"""Run a program that is not in a bundle yet.

Shapes: N items, K outputs.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from diptych.core.errors import BundleError, TargetError
from diptych.inference.runtimes import open_session

BATCH_SIZE = 64
OTHERWISE = "use another runtime for it"


@contextmanager
def refusals(name: str = "", hint: str = OTHERWISE) -> Iterator[None]:
    """Tell of what a runtime refuses as of a model that cannot be lowered: it is in no bundle yet.

    Args:
        name: The model or program; not needed where the runtime names it.
        hint: What to do next, where the runtime does not say it.

    Yields:
        Nothing.

    Raises:
        TargetError: If the runtime cannot open or run the program.
    """
    try:
        yield
    except BundleError as error:
        reason = " ".join(error.message.split())
        usable = error.hint and "bundle" not in error.hint
        message = f"{name}: {reason}" if name else reason
        raise TargetError(message, error.hint if usable else hint) from error


def answers(runtime: str, files: dict[str, bytes], inputs: np.ndarray) -> np.ndarray:
    """Run a program once on some items.

    Args:
        runtime: What runs it.
        files: The program's files by name, the first is the one to open.
        inputs: Raw (N, ...).

    Returns:
        float32 (N, K).
    """
    with refusals(), tempfile.TemporaryDirectory(prefix="diptych-") as folder:
        paths = [Path(folder) / name for name in files]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        with closing(open_session(runtime, paths)) as session:
            parts = [inputs[i : i + BATCH_SIZE] for i in range(0, len(inputs), BATCH_SIZE)]
            return np.concatenate([session.run(part) for part in parts])
