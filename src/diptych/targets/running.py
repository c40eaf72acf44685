"""Run a program that is not in a bundle yet.

Shapes: N items, K outputs.
"""

import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from diptych.inference.runtimes import open_session

BATCH_SIZE = 64


def answers(runtime: str, files: dict[str, bytes], inputs: np.ndarray) -> np.ndarray:
    """Run a program once on some items.

    Args:
        runtime: What runs it.
        files: The program's files by name, the first is the one to open.
        inputs: Raw (N, ...).

    Returns:
        float32 (N, K).
    """
    with tempfile.TemporaryDirectory(prefix="diptych-") as folder:
        paths = [Path(folder) / name for name in files]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        with closing(open_session(runtime, paths)) as session:
            parts = [inputs[i : i + BATCH_SIZE] for i in range(0, len(inputs), BATCH_SIZE)]
            return np.concatenate([session.run(part) for part in parts])
