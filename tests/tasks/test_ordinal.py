import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error

from diptych.tasks.ordinal import mae


def test_the_error_is_counted_in_steps() -> None:
    random = np.random.default_rng(0)
    targets, called = random.integers(0, 5, 80), random.integers(0, 5, 80)
    ours = mae(np.eye(5, dtype=np.float32)[called], targets)
    assert ours.value == pytest.approx(mean_absolute_error(targets, called))
    assert 0 <= ours.low < ours.value < ours.high <= 4


def test_no_error_seen_is_not_certainty() -> None:
    targets = np.arange(50) % 5
    ours = mae(np.eye(5, dtype=np.float32)[targets], targets)
    assert (ours.value, ours.low) == (0, 0)
    assert 0.1 < ours.high < 0.5
