import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import DataError
from diptych.data.labels import encode

WORDS = st.text(st.characters(exclude_categories=("C",)), min_size=1).map(str.strip).filter(bool)


@given(st.lists(st.one_of(WORDS, st.integers().map(str)), min_size=1))
def test_numbering_and_naming_gives_the_labels_back(column: list[str]) -> None:
    names, numbers = encode({"train": column})
    assert [names[number] for number in numbers["train"]] == column
    assert len(set(names)) == len(names) == numbers["train"].max() + 1


def test_numbers_are_sorted_as_numbers() -> None:
    names, _ = encode({"train": [10, 9, 2, -1]})
    assert names == ("-1", "2", "9", "10")
    assert encode({"train": ["10", "9", "b", "a"]})[0] == ("9", "10", "a", "b")


def test_whole_floats_and_truths_are_classes() -> None:
    assert encode({"train": [1.0, 0.0]})[0] == ("0", "1")
    assert encode({"train": [True, False]})[0] == ("False", "True")


def test_given_names_are_indexed() -> None:
    names, numbers = encode({"train": [1, 0], "test": [1]}, ("cat", "dog"))
    assert names == ("cat", "dog")
    np.testing.assert_array_equal(numbers["train"], [1, 0])
    assert numbers["test"].dtype == np.int64


@pytest.mark.parametrize("missing", [None, float("nan"), "", "  "])
def test_missing_labels_are_counted_and_the_first_is_placed(missing: object) -> None:
    column = ["a", missing, "b", missing]
    with pytest.raises(DataError, match=r"2 of 4 labels are missing in the test split.* row 1"):
        encode({"train": ["a", "b"], "test": column})


@pytest.mark.parametrize("label", [-1, 2, "cat", 0.5])
def test_a_label_out_of_range_is_shown(label: object) -> None:
    with pytest.raises(DataError, match=f"label {label!r} in row 1 .*test.* out of range.* 0 to 1"):
        encode({"train": [0, 1], "test": [0, label]}, ("cat", "dog"))


@pytest.mark.parametrize("label", [0.5, float("inf")])
def test_a_measurement_is_not_a_class(label: float) -> None:
    with pytest.raises(DataError, match=f"label {label} is a measurement"):
        encode({"train": [1.0, label]})


def test_a_label_of_another_type_is_named() -> None:
    with pytest.raises(DataError, match="of type list"):
        encode({"train": [[1, 0], [0, 1]]})


def test_a_class_that_is_only_in_test_is_named() -> None:
    with pytest.raises(DataError, match="class 'c' is in the test split but not in the train"):
        encode({"train": ["a", "b"], "test": ["a", "c"]})
