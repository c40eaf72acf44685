"""Several labels: against scikit-learn and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from diptych.tasks.multi_label import answer, exact_match, f1, item_f1, mean_auroc, sigmoid

OUTPUTS = hnp.arrays(np.float32, (20, 3), elements=st.floats(-9, 9, width=32))
TARGETS = hnp.arrays(np.float32, (20, 3), elements=st.sampled_from([0, 1]))


@given(hnp.arrays(np.float32, 8, elements=st.floats(-1e4, 1e4, width=32)))
def test_the_sigmoid_is_scipys_even_for_huge_logits(logits: np.ndarray) -> None:
    np.testing.assert_allclose(sigmoid(logits), expit(logits.astype(float)), atol=1e-15)


@settings(max_examples=25)
@given(OUTPUTS, TARGETS)
def test_scores_are_scikit_learns(outputs: np.ndarray, targets: np.ndarray) -> None:
    given_labels = outputs >= 0
    wanted = f1_score(targets, given_labels, average="samples", zero_division=1)
    assert f1(outputs, targets).value == pytest.approx(wanted)
    assert exact_match(outputs, targets).value == accuracy_score(targets, given_labels)


def test_the_area_is_the_mean_over_labels() -> None:
    random = np.random.default_rng(0)
    targets = (random.random((90, 3)) < 0.4).astype(np.float32)
    outputs = (random.normal(size=(90, 3)) + targets).astype(np.float32)
    assert mean_auroc(outputs, targets).value == pytest.approx(roc_auc_score(targets, outputs))


def test_an_item_without_labels_is_right_without_any_and_wrong_with_one() -> None:
    outputs = np.array([[-1, -1], [1, -1]], np.float32)
    np.testing.assert_array_equal(item_f1(outputs, np.zeros((2, 2), np.float32)), [1, 0])


def test_the_labels_are_those_that_are_at_least_as_likely_as_not() -> None:
    logits = np.array([[0.0, -0.001, 3.0], [-1.0, -2.0, -3.0]], np.float32)
    both = answer(["x", "y"], logits, ("a", "b", "c"))
    assert [each.labels for each in both] == [("a", "c"), ()]
    for each in both:
        assert each.labels == tuple(n for n, share in each.scores.items() if share >= 0.5)
    assert both[0].scores["c"] == pytest.approx(expit(3.0))
