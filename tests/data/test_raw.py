import numpy as np

from diptych.data.raw import SPLIT_NAMES, SPLITS, RawSplit


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
