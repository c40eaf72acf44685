import pytest

from diptych.core.errors import StorageError, TrainingError
from diptych.core.progress import Step
from diptych.fitting.optional import optional


def test_a_training_that_fails_is_left_out_and_told() -> None:
    told: list[Step] = []
    with optional("student", True, told.append):
        raise TrainingError("the loss at step 7 is nan", "try a lower rate")
    assert [(step.stage, step.note) for step in told] == [
        ("student", "left out: the loss at step 7 is nan")
    ]


def test_one_without_which_there_is_nothing_ends_the_fit() -> None:
    told: list[Step] = []
    with pytest.raises(TrainingError), optional("student", False, told.append):
        raise TrainingError("the loss at step 7 is nan", "try a lower rate")
    assert not told


def test_a_full_disk_is_no_failed_training() -> None:
    with pytest.raises(StorageError), optional("student", True, lambda step: None):
        raise StorageError("no space left on device", "free some")
