"""Python, started again by a process of ours."""

import sys
from pathlib import Path


def python(*words: str) -> list[str]:
    """Make a command that finds modules where this process does.

    Python puts the working folder first on the path of a module that it runs, so that a file there,
    such as ``random.py``, takes the place of a library; the `diptych` command does not.

    Args:
        words: What follows the interpreter, such as ``-m`` and a module.

    Returns:
        The command; it leaves the working folder out unless this process looks there too.
    """
    looks_here = not {"", str(Path.cwd())}.isdisjoint(sys.path)
    return [sys.executable, *([] if looks_here else ["-P"]), *words]
