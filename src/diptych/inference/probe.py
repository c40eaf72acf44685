"""The least that a new process does to answer once: load a bundle and predict a golden input.

Run as ``python -m diptych.inference.probe BUNDLE [RUNTIME [warn]]``; whoever starts it measures
time and memory.
"""

import sys
from pathlib import Path

from diptych.core.errors import DiptychError
from diptych.inference.bundle import GoldenMode, load


def main(arguments: list[str]) -> int:
    """Load a bundle and predict once.

    Args:
        arguments: The bundle's folder, the runtime where it is not the bundle's first, and ``warn``
            to go on where its golden examples differ.

    Returns:
        The exit code: 0, or 2 where the bundle cannot be used.
    """
    try:
        runtime = arguments[1] if len(arguments) > 1 else None
        golden: GoldenMode = "warn" if arguments[2:] == ["warn"] else "check"
        with load(Path(arguments[0]), runtime=runtime, golden=golden) as bundle:
            bundle.run(bundle.golden().inputs[:1])
    except DiptychError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
