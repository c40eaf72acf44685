import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError, DataError
from diptych.data.encodings import (
    encode_classes,
    encode_lists,
    encode_numbers,
    index_classes,
    is_missing,
    order_of,
)

SETS = st.lists(st.sets(st.text("abcd", min_size=1, max_size=2)), min_size=1, max_size=20)


def test_numbers_are_sorted_as_numbers() -> None:
    assert encode_classes({"train": [10, 9, 2, -1]})[0] == ("-1", "2", "9", "10")
    assert encode_classes({"train": ["10", "9", "b", "a"]})[0] == ("9", "10", "a", "b")
    assert encode_classes({"train": [10.0, 9.5, 2]})[0] == ("2", "9.5", "10")


def test_whole_floats_and_truths_are_classes() -> None:
    assert encode_classes({"train": [1.0, 0.0]})[0] == ("0", "1")
    assert encode_classes({"train": [True, False]})[0] == ("False", "True")


@pytest.mark.parametrize(
    ("label", "seen"), [(float("inf"), "inf"), ([1, 0], "of type list"), (b"a", "of type bytes")]
)
def test_what_is_neither_a_word_nor_a_number_is_no_class(label: object, seen: str) -> None:
    with pytest.raises(DataError, match=f"a label is {seen}"):
        encode_classes({"train": ["a", label]})


@pytest.mark.parametrize("label", [-1, 2, "cat", 0.5])
def test_a_label_out_of_range_is_shown(label: object) -> None:
    with pytest.raises(DataError, match=f"label {label!r} of row 1 .*test.* out of range.* 0 to 1"):
        index_classes("test", [0, label], ("cat", "dog"))


def test_a_class_that_is_only_in_test_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match="class 'catt' is in the test split but not in the") as seen:
        encode_classes({"train": ["cat", "dog"], "test": ["cat", "catt"]})
    assert seen.value.hint == "did you mean 'cat'?; add such items to train, or remove them"


def test_a_thousand_classes_are_not_listed() -> None:
    with pytest.raises(DataError) as seen:
        encode_classes({"train": [*range(1000)], "test": ["zebra"]})
    assert seen.value.hint == "add such items to train, or remove them"


def test_a_class_outside_the_order_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match="'lwo' is in the train split but not in the order") as seen:
        encode_classes({"train": ["lwo"]}, ("low", "high"))
    assert seen.value.hint == "did you mean 'low'?"
    with pytest.raises(ConfigError, match="'low' twice"):
        encode_classes({"train": ["low"]}, ("low", "high", "low"))


def test_numbers_have_an_order_and_words_have_none() -> None:
    assert order_of(["10", 9, 2.5]) == ("2.5", "9", "10")
    with pytest.raises(DataError, match="no order of their own: 'high' is a word") as seen:
        order_of(["low", "high", "3"])
    assert seen.value.hint.endswith("such as --order 3,high,low")


@given(SETS, st.sampled_from(["|", ";", " | "]))
def test_labels_written_as_lists_or_with_separators_are_the_same(
    sets: list[set[str]], separator: str
) -> None:
    names, targets = encode_lists({"train": [sorted(words) for words in sets]})
    for row, words in zip(targets["train"], sets, strict=True):
        assert {name for name, has in zip(names, row, strict=True) if has} == words
    written = [separator.join(sorted(words)) for words in sets]
    again, same = encode_lists({"train": written})
    assert again == names
    np.testing.assert_array_equal(same["train"], targets["train"])
    assert same["train"].dtype == np.float32


def test_only_one_separator_counts() -> None:
    assert encode_lists({"train": ["a;b|c", "c"]})[0] == ("a;b", "c")


def test_a_label_that_train_does_not_have_is_named() -> None:
    with pytest.raises(DataError, match="class 'z' is in the test split but not in the train"):
        encode_lists({"train": [["a"]], "test": [["a", "z"]]})


def test_more_labels_than_can_be_told_are_refused() -> None:
    with pytest.raises(DataError, match="there are 10,001 labels, such as '0'") as caught:
        encode_lists({"train": [list(range(10_001))]})
    assert caught.value.hint


def test_labels_of_more_items_than_memory_holds_are_refused() -> None:
    with pytest.raises(DataError, match="the train split would be 100,001 × 10,000 cells"):
        encode_lists({"train": [list(range(10_000)), *[[0]] * 100_000]})


def test_an_item_is_called_as_its_source_calls_it() -> None:
    items = {"train": ("one.csv#0", "two.csv#0")}
    with pytest.raises(DataError, match=r"label 7 of two.csv#0 is out of range"):
        encode_lists({"train": [[0, 1], [1, 7]]}, ("a", "b"), items)
    with pytest.raises(DataError, match=r"label 7 of two.csv#0 is out of range"):
        index_classes("train", [0, 7], ("a", "b"), items)
    with pytest.raises(DataError, match=r"label 'x' of two.csv#0 is not a finite number"):
        encode_numbers({"train": [1.5, "x"]}, items)
    with pytest.raises(DataError, match=r"label 7 of row 1 of the train split is out of range"):
        encode_lists({"train": [[0], [7]]}, ("a", "b"))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_and_numbers_in_words_are_the_same(column: list[float]) -> None:
    expected = np.array(column, np.float32)
    np.testing.assert_array_equal(encode_numbers({"train": column})["train"], expected)
    words = [repr(value) for value in column]
    np.testing.assert_array_equal(encode_numbers({"train": words})["train"], expected)


@pytest.mark.parametrize("label", [float("inf"), "-inf", "nan", "abc", [1], True, 1e39, 10**400])
def test_what_is_not_a_finite_number_is_placed(label: object) -> None:
    with pytest.raises(DataError, match="of row 1 of the test split is not a finite number"):
        encode_numbers({"train": [1.0], "test": [1.0, label]})


def test_blanks_are_missing_and_an_empty_list_is_not() -> None:
    assert all(is_missing(value) for value in (None, float("nan"), "", " "))
    assert not any(is_missing(value) for value in ([], 0, 0.0, "a", False))
