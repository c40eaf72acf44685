"""``python -m diptych.fitting.worker``: one process of a training, started by its supervisor."""

import sys
from pathlib import Path

from diptych.fitting.processes import train_share
from diptych.training.worker import work


def main() -> int:
    """Do this process's share: of the run in a folder, until a moment.

    Returns:
        The exit code.
    """
    folder, until, checkpoint_s = sys.argv[1:]
    return work(lambda worker: train_share(worker, Path(folder), float(until), float(checkpoint_s)))


if __name__ == "__main__":
    sys.exit(main())
