"""The worst items: those that a search by hand finds, and never more than are allowed."""

import numpy as np
import pytest

from diptych.core.damage import WorstItem
from diptych.fitting.worst import MOST_INPUT_BYTES, MOST_ITEMS, inputs_of, worst_items
from diptych.tasks.classification import softmax

LABELS = ("ant", "bee")


def names(n: int) -> tuple[str, ...]:
    return tuple(f"item {row}" for row in range(n))


def test_of_classes_those_come_first_of_which_the_reference_was_surest() -> None:
    reference = np.array([[2, 0], [9, 0], [0, 5], [0, 1], [4, 0]], np.float32)
    model = np.array([[0, 1], [0, 2], [3, 0], [0, 1], [5, 0]], np.float32)
    found = worst_items(
        "classification", LABELS, names(5), (np.array([0, 0, 1, 0, 0]), reference, model)
    )
    assert [one.index for one in found] == [1, 2, 0]
    assert [one.item for one in found] == ["item 1", "item 2", "item 0"]
    first = found[0]
    assert (first.truth, first.reference, first.model) == (("ant",), ("ant",), ("bee",))
    assert first.reference_share == pytest.approx(softmax(reference[1]).max())
    assert first.model_share == pytest.approx(softmax(model[1]).max())


def test_of_labels_that_one_counts_which_the_reference_was_surest_of() -> None:
    wanted = np.array([[1, 1], [1, 0], [0, 0]], np.float32)
    reference = np.array([[1, 6], [3, -1], [-2, -2]], np.float32)
    model = np.array([[-5, -1], [3, -1], [-2, 4]], np.float32)
    found = worst_items("multi-label", LABELS, names(3), (wanted, reference, model))
    assert [one.index for one in found] == [0, 2]
    first, second = found
    assert (first.truth, first.reference, first.model) == (LABELS, LABELS, ())
    assert first.reference_share == pytest.approx(1 / (1 + np.exp(-6)))
    assert first.model_share == pytest.approx(1 / (1 + np.exp(-1)))
    assert (second.truth, second.model) == ((), ("bee",))
    assert second.model_share == pytest.approx(1 / (1 + np.exp(-4)))


def test_of_numbers_those_whose_error_grew_most() -> None:
    truth = np.array([10, 20, 30, 40], np.float32)
    reference = np.array([[11], [20], [31], [40]], np.float32)
    model = np.array([[9], [25], [20], [np.nan]], np.float32)
    found = worst_items("regression", ("price",), names(4), (truth, reference, model))
    assert [(one.index, one.truth, one.model) for one in found] == [(2, 30, 20), (1, 20, 25)]
    assert found[0].reference_share is None


def test_there_are_at_most_twelve_and_long_names_are_cut() -> None:
    n = 3 * MOST_ITEMS
    targets = np.zeros(n, np.int64)
    right, wrong = np.tile([[2, 0]], (n, 1)), np.tile([[0, 2]], (n, 1))
    found = worst_items("ordinal", LABELS, ("x" * 5000,) * n, (targets, right, wrong))
    assert [one.index for one in found] == list(range(MOST_ITEMS))
    assert max(len(one.item) for one in found) == 200


def item(index: int) -> WorstItem:
    return WorstItem(item="x", index=index, truth=1.0, reference=1.0, model=2.0)


def test_the_inputs_are_those_of_the_items_in_their_order() -> None:
    inputs = np.arange(30, dtype=np.uint8).reshape(10, 3)
    assert inputs_of((item(7), item(2)), inputs).tolist() == [[21, 22, 23], [6, 7, 8]]
    assert inputs_of((), inputs).shape == (0, 3)


def test_inputs_that_are_too_large_are_left_out() -> None:
    side = MOST_INPUT_BYTES // 2
    inputs = np.zeros((4, side), np.uint8)
    assert inputs_of((item(0), item(1), item(2)), inputs).shape == (2, side)
    assert inputs_of((item(0),), np.zeros((1, 3 * side), np.uint8)).shape == (0, 3 * side)
