"""Data sets that come with an installed library: nothing is downloaded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from diptych.core.extras import require
from diptych.data.raw import RawData, RawSplit


def read_digits() -> RawData:
    """Read scikit-learn's handwritten digits.

    Returns:
        1,797 grey pictures of 8 x 8, one split; values 0 to 16 are stretched to 0 to 255.

    Source: E. Alpaydin, C. Kaynak, UCI "Optical Recognition of Handwritten Digits", test part.
    """
    table = require("sklearn.datasets", "train").load_digits()
    pictures = np.rint(table.images * (255 / 16)).astype(np.uint8)
    items = [f"digits#{row}" for row in range(len(pictures))]
    split = RawSplit(items=items, labels=table.target.tolist(), contents=pictures)
    return RawData(name="digits", splits={"train": split})


BUILTINS: dict[str, Callable[[], RawData]] = {"digits": read_digits}


def read_builtin(path: Path, target: str | None = None) -> RawData:
    """Read a built-in data set.

    Args:
        path: Its name, one of ``BUILTINS``.
        target: Not used: these have one label.

    Returns:
        The data set.
    """
    return BUILTINS[str(path)]()
