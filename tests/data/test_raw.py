from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import DataError
from diptych.data.raw import SPLIT_NAMES, SPLITS, RawSplit, named_splits


def test_an_array_goes_through_in_order() -> None:
    pictures = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    split = RawSplit(items=("a", "b", "c"), labels=(0, 1, 0), contents=pictures)
    (batch,) = split.batches()
    np.testing.assert_array_equal(np.stack(batch), pictures)


def test_batches_can_be_gone_through_again() -> None:
    split = RawSplit(items=("a", "b"), labels=(0, 1), contents=lambda: iter([[b"a"], [b"b"]]))
    assert list(split.batches()) == list(split.batches()) == [[b"a"], [b"b"]]


def test_every_name_of_a_split_means_one_of_the_three() -> None:
    assert set(SPLIT_NAMES.values()) == set(SPLITS)


def test_texts_have_no_batches_of_files() -> None:
    split = RawSplit(items=("a", "b"), labels=(0, 1), contents=("one text", "another"))
    assert list(split.batches()) == []


def test_names_of_splits_are_known_in_any_letters_and_others_refused() -> None:
    source = Path("place")
    names = ["Train", "dev", "t10k"]
    assert named_splits(source, names) == dict(zip(SPLITS, names, strict=True))
    with pytest.raises(DataError, match="place gives a split 'holdout'"):
        named_splits(source, ["train", "holdout"])
    with pytest.raises(DataError, match="'dev' and 'val' of place are both the validation split"):
        named_splits(source, ["dev", "val"])
