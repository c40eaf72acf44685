from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from diptych.data.builtin import BUILTINS, read_builtin


def test_digits_are_scikit_learns_stretched_to_bytes() -> None:
    raw = read_builtin(Path("digits"))
    split = raw.splits["train"]
    table = load_digits()
    np.testing.assert_array_equal(split.contents, np.rint(table.images / 16 * 255))
    assert split.contents.dtype == np.uint8
    assert list(split.labels) == table.target.tolist()
    assert len(split.items) == len(set(split.items)) == 1797
    assert raw.name in BUILTINS
