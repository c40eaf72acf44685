"""Classification metrics, against scikit-learn, SciPy and sums done by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from diptych.tasks.classification import (
    accuracy,
    calibration_error,
    confusion,
    precision,
    recall,
    softmax,
)

NUM_CLASSES = 4
CLASS_NUMBERS = hnp.arrays(np.int64, 30, elements=st.integers(0, NUM_CLASSES - 1))
LOGITS = hnp.arrays(np.float32, (5, 3), elements=st.floats(-1e4, 1e4, width=32))


@given(LOGITS)
def test_softmax_equals_scipys_even_for_huge_logits(logits: np.ndarray) -> None:
    np.testing.assert_allclose(softmax(logits), scipy_softmax(logits.astype(float), axis=1))


def test_softmax_takes_one_row() -> None:
    np.testing.assert_allclose(softmax(np.array([0.0, np.log(3.0)])), [0.25, 0.75])


@settings(deadline=None, max_examples=25)
@given(CLASS_NUMBERS, CLASS_NUMBERS)
def test_counts_and_shares_equal_scikit_learns(called: np.ndarray, targets: np.ndarray) -> None:
    classes = list(range(NUM_CLASSES))
    matrix = confusion(called, targets, NUM_CLASSES)
    np.testing.assert_array_equal(matrix, confusion_matrix(targets, called, labels=classes))
    arguments = {"labels": classes, "average": None, "zero_division": np.nan}
    np.testing.assert_allclose(recall(matrix), recall_score(targets, called, **arguments))
    np.testing.assert_allclose(precision(matrix), precision_score(targets, called, **arguments))
    outputs = np.eye(NUM_CLASSES, dtype=np.float32)[called]
    assert accuracy(outputs, targets).value == pytest.approx(np.trace(matrix) / matrix.sum())


def test_a_perfectly_calibrated_model_has_no_calibration_error() -> None:
    probabilities = np.tile([0.75, 0.25], (8, 1))
    targets = np.array([0, 0, 0, 1] * 2)
    assert calibration_error(probabilities, targets) == pytest.approx(0)


def test_certain_and_always_wrong_is_the_worst_calibration() -> None:
    probabilities = np.tile([1.0, 0.0], (5, 1))
    assert calibration_error(probabilities, np.ones(5, np.int64)) == pytest.approx(1)


def test_calibration_error_equals_a_loop_over_bins() -> None:
    random = np.random.default_rng(0)
    probabilities = softmax(2 * random.normal(size=(200, NUM_CLASSES)))
    targets = random.integers(0, NUM_CLASSES, 200)
    confidence, called = probabilities.max(axis=1), probabilities.argmax(axis=1)
    expected = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence >= low) & (confidence < low + 0.1)
        if inside.any():
            gap = abs((called == targets)[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert calibration_error(probabilities, targets, num_bins=10) == pytest.approx(expected)
