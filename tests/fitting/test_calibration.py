from dataclasses import replace

import numpy as np
import pytest

from diptych.core.progress import Step
from diptych.core.values import Split
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.calibration import calibration_items


@pytest.fixture
def told() -> list[Step]:
    return []


def as_bytes(inputs: np.ndarray) -> set[bytes]:
    return {item.tobytes() for item in inputs}


def test_items_are_of_the_training_split_and_not_of_the_test_split(told: list[Step]) -> None:
    dataset = read("digits", Options(seed=0))
    chosen = calibration_items(dataset, 512, 0, told.append)
    assert len(chosen) == 512
    assert as_bytes(chosen) <= as_bytes(dataset.train.inputs)
    assert not as_bytes(chosen) & as_bytes(dataset.test.inputs)
    assert np.array_equal(chosen, calibration_items(dataset, 512, 0, told.append))
    assert not np.array_equal(chosen, calibration_items(dataset, 512, 1, told.append))
    assert told == []


def test_items_that_the_test_split_has_too_are_passed_over_for_others(
    make_dataset, told: list[Step]
) -> None:
    dataset = make_dataset(items=60)
    train, test = dataset.train.inputs.copy(), dataset.test.inputs
    train[::3] = test
    dataset = replace(dataset, train=Split(inputs=train, targets=dataset.train.targets, items=()))
    chosen = calibration_items(dataset, 40, 0, told.append)
    assert len(chosen) == 40
    assert as_bytes(chosen) == as_bytes(train) - as_bytes(test)
    assert [step.note for step in told] == [
        "20 items are in the test split too and were passed over"
    ]


def test_where_training_and_test_items_are_the_same_there_are_none_and_it_is_said(
    make_dataset, told: list[Step]
) -> None:
    dataset = make_dataset()
    same = replace(dataset, test=dataset.train)
    chosen = calibration_items(same, 32, 0, told.append)
    assert chosen.shape == (0, 8, 8, 1)
    assert "too few for 8 bits" in told[-1].note
    assert told[0].note.startswith("40 items")


def test_a_split_smaller_than_asked_for_is_taken_whole(make_dataset, told: list[Step]) -> None:
    dataset = make_dataset(items=30)
    assert len(calibration_items(dataset, 512, 0, told.append)) == 30
