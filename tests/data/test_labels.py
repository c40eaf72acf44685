import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError, DataError
from diptych.core.values import Goal
from diptych.data.labels import encode, infer_goal

WORDS = st.text(st.characters(exclude_categories=("C",)), min_size=1).map(str.strip).filter(bool)


@given(st.lists(st.one_of(WORDS, st.integers().map(str)), min_size=1))
def test_numbering_and_naming_gives_the_labels_back(column: list[str]) -> None:
    told = encode({"train": column})
    assert told.goal == "classification"
    assert [told.labels[number] for number in told.targets["train"]] == column
    assert len(set(told.labels)) == len(told.labels) == told.targets["train"].max() + 1


def test_given_names_are_indexed() -> None:
    told = encode({"train": [1, 0], "test": [1]}, ("cat", "dog"))
    assert told.labels == ("cat", "dog")
    np.testing.assert_array_equal(told.targets["train"], [1, 0])
    assert told.targets["test"].dtype == np.int64


@pytest.mark.parametrize("missing", [None, float("nan"), "", "  "])
@pytest.mark.parametrize("goal", [None, "classification", "regression"])
def test_missing_labels_are_counted_and_the_first_is_placed(
    missing: object, goal: Goal | None
) -> None:
    column = ["1", missing, "2", missing]
    with pytest.raises(DataError, match=r"2 of 4 labels are missing in the test split.* row 1"):
        encode({"train": ["1", "2"], "test": column}, goal=goal)


@pytest.mark.parametrize(
    ("column", "goal"),
    [
        (["a", "b"], "classification"),
        ([True, False], "classification"),
        ([1, 2, 3] * 20, "classification"),
        ([1.0, 2.0] * 20, "classification"),
        (["1.5", "2.5"], "classification"),
        ([*range(20)], "classification"),
        ([*range(21)], "regression"),
        ([*range(1, 11)] * 2, "classification"),
        ([*range(18, 91)] * 1000, "regression"),
        ([*range(999)] * 5, "regression"),
        ([1000 * n for n in range(50)] * 100, "regression"),
        ([1, 2.5], "regression"),
        ([float("inf"), 1.0], "regression"),
        ([["a"], [], ["a", "b"]], "multi-label"),
        ([[1], [2, 3]], "multi-label"),
    ],
)
def test_the_goal_is_inferred_from_how_labels_are_written(column: list[object], goal: Goal) -> None:
    found, reason = infer_goal(column, has_classes=False)
    assert found == goal
    assert bool(reason) == (goal != "classification")


def test_many_class_numbers_are_classes_but_that_is_said() -> None:
    goal, reason = infer_goal([*range(1000)] * 10, has_classes=False)
    assert (goal, reason) == ("classification", "labels are 1,000 whole numbers from 0 to 999")


def test_numbers_that_stand_for_names_are_classes() -> None:
    assert infer_goal([*range(500)], has_classes=True)[0] == "classification"


@pytest.mark.parametrize(
    ("goal", "labels"),
    [
        ("classification", ("0.5", "1", "2")),
        ("ordinal", ("0.5", "1", "2")),
        ("regression", ("price",)),
        ("multi-label", ("0.5", "1", "2")),
    ],
)
def test_an_explicit_goal_wins(goal: Goal, labels: tuple[str, ...]) -> None:
    told = encode({"train": [0.5, 2.0, 1.0]}, goal=goal, target="price")
    assert (told.goal, told.labels, told.reason) == (goal, labels, "")


def test_numbers_are_kept_as_they_are() -> None:
    told = encode({"train": [0.5, 2.0, 1.0], "test": [9]}, target="price")
    assert (told.goal, told.labels) == ("regression", ("price",))
    np.testing.assert_array_equal(told.targets["train"], np.array([0.5, 2, 1], np.float32))
    assert told.targets["test"].dtype == np.float32
    assert told.reason == "labels are numbers that are not whole"


def test_an_order_makes_classes_ordinal() -> None:
    order = ("low", "medium", "high")
    told = encode({"train": ["high", "low"], "test": ["medium"]}, order=order)
    assert (told.goal, told.labels) == ("ordinal", order)
    assert [column.tolist() for column in told.targets.values()] == [[2, 0], [1]]


def test_named_classes_can_be_put_in_order() -> None:
    named = ("high", "low")
    told = encode({"train": [0, 1, 1]}, named, "ordinal")
    assert (told.labels, told.targets["train"].tolist()) == (named, [0, 1, 1])
    told = encode({"train": [0, 1, 1]}, named, "ordinal", ("low", "high"))
    assert (told.labels, told.targets["train"].tolist()) == (("low", "high"), [1, 0, 0])


def test_lists_of_named_classes_are_indexed() -> None:
    told = encode({"train": [[1], [0, 1], []]}, ("cat", "dog"))
    assert (told.goal, told.labels) == ("multi-label", ("cat", "dog"))
    assert told.targets["train"].tolist() == [[0, 1], [1, 1], [0, 0]]


def test_blank_text_has_no_labels_where_several_are_asked_for() -> None:
    told = encode({"train": ["a|b", "", " ", None]}, goal="multi-label")
    assert told.targets["train"].tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]
    with pytest.raises(DataError, match="1 of 2 labels are missing"):
        encode({"train": [1, None]}, goal="multi-label")


def test_among_words_the_hint_at_missing_ones_says_that_several_may_be_none() -> None:
    hints = []
    for column in (["a|b", None], ["a|b", ""], [1, None]):
        with pytest.raises(DataError) as caught:
            encode({"train": column})
        hints.append("--task multi-label" in str(caught.value.hint))
    assert hints == [True, True, False]


def test_an_order_for_what_has_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="a goal of regression has no order"):
        encode({"train": [1, 2]}, goal="regression", order=("1", "2"))
