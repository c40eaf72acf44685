"""Classification: against scikit-learn, SciPy, sums done by hand, and simulated coverage."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from diptych.tasks.classification import (
    accuracy,
    answer,
    confusion,
    log_odds,
    macro_f1,
    mean_auroc,
    precision,
    recall,
    softmax,
    tallies,
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
    items, calls, hits = tallies(called, targets, NUM_CLASSES)
    np.testing.assert_array_equal(items, matrix.sum(axis=1))
    np.testing.assert_array_equal(calls, matrix.sum(axis=0))
    np.testing.assert_array_equal(hits, np.diagonal(matrix))
    arguments = {"labels": classes, "average": None, "zero_division": np.nan}
    np.testing.assert_allclose(recall(matrix), recall_score(targets, called, **arguments))
    np.testing.assert_allclose(precision(matrix), precision_score(targets, called, **arguments))
    outputs = np.eye(NUM_CLASSES, dtype=np.float32)[called]
    assert accuracy(outputs, targets).value == pytest.approx(np.trace(matrix) / matrix.sum())


def draw(
    random: np.random.Generator, n: int, shares: list[float], apart: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw targets with given shares, and logits that are further apart than their noise."""
    targets = random.choice(len(shares), n, p=shares)
    logits = random.normal(size=(n, len(shares))) + apart * np.eye(len(shares))[targets]
    return logits.astype(np.float32), targets


@settings(deadline=None, max_examples=25)
@given(CLASS_NUMBERS, CLASS_NUMBERS)
def test_f1_is_scikit_learns_and_inside_its_interval(
    called: np.ndarray, targets: np.ndarray
) -> None:
    ours = macro_f1(np.eye(NUM_CLASSES, dtype=np.float32)[called], targets)
    assert ours.value == pytest.approx(f1_score(targets, called, average="macro"))
    assert 0 <= ours.low <= ours.value <= ours.high <= 1
    assert ours.low < ours.high


def test_f1_of_very_many_classes_needs_no_matrix_of_all_pairs() -> None:
    outputs = np.random.default_rng(0).normal(size=(20, 2_000)).astype(np.float32)
    targets = np.arange(20)
    tracemalloc.start()
    macro_f1(outputs, targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_the_area_is_scikit_learns(num_classes: int) -> None:
    shares = [1 / num_classes] * num_classes
    logits, targets = draw(np.random.default_rng(0), 300, shares, 1.5)
    p = scipy_softmax(logits.astype(float), axis=1)
    wanted = roc_auc_score(targets, p[:, 1] if num_classes == 2 else p, multi_class="ovr")
    assert mean_auroc(logits, targets).value == pytest.approx(wanted)


def test_classes_without_items_are_left_out_of_the_area() -> None:
    logits, targets = draw(np.random.default_rng(0), 100, [0.5, 0.5, 0.0], 1.0)
    ours = mean_auroc(logits, targets)
    assert ours.method.startswith("mean over 2 of 3 labels")
    assert mean_auroc(logits, np.zeros(100, np.int64)).n == 0


@given(LOGITS)
def test_log_odds_are_those_of_the_probabilities(logits: np.ndarray) -> None:
    p = scipy_softmax(logits.astype(float), axis=1)
    inner = (p > 1e-12) & (p < 1 - 1e-6)
    ours = log_odds(logits)
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours[inner], np.log(p[inner] / (1 - p[inner])), rtol=1e-6, atol=1e-6)


def test_log_odds_tell_apart_what_rounds_to_certainty() -> None:
    ours = log_odds(np.array([[60.0, 0, 0], [80.0, 0, 0]], np.float32))[:, 0]
    np.testing.assert_allclose(ours, [60 - np.log(2), 80 - np.log(2)])


def test_a_perfect_f1_is_no_more_certain_than_the_rarest_class_allows() -> None:
    many, few = np.repeat([0, 1], 100), np.repeat([0, 1], [190, 10])
    balanced, unequal = (macro_f1(np.eye(2, dtype=np.float32)[t], t) for t in (many, few))
    assert balanced.value == balanced.high == unequal.value == unequal.high == 1
    assert unequal.low < balanced.low < 1


def test_the_answer_is_the_likeliest_class_with_all_probabilities() -> None:
    (one,) = answer(["x"], np.array([[0.0, np.log(3.0)]], np.float32), ("ant", "bee"))
    assert (one.input, one.label) == ("x", "bee")
    assert one.score == one.scores["bee"] == pytest.approx(0.75)
    assert list(one.scores) == ["ant", "bee"]
    assert (one.labels, one.value) == (None, None)


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 500, 2000])
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.95, 0.05], [0.1] * 10])
def test_the_interval_covers_f1(shares: list[float], n: int) -> None:
    truth = macro_f1(*draw(np.random.default_rng(99), 400_000, shares, 2.5)).value
    hits = 0
    for seed in range(600):
        ours = macro_f1(*draw(np.random.default_rng(seed), n, shares, 2.5))
        hits += ours.low <= truth <= ours.high
    assert hits / 600 > 0.92


@pytest.mark.slow
def test_the_interval_covers_the_area_of_unequal_classes() -> None:
    shares = [0.91] + [0.01] * 9
    truth = mean_auroc(*draw(np.random.default_rng(99), 200_000, shares, 2.5)).value
    hits = 0
    for seed in range(300):
        ours = mean_auroc(*draw(np.random.default_rng(seed), 1000, shares, 2.5))
        hits += ours.low <= truth <= ours.high
    assert hits / 300 > 0.92


def test_a_perfect_f1_is_not_above_one() -> None:
    called = np.array([1, 1, 0, 0, 0, 1] + [2] * 24)  # the mean of rounded thirds is 1 + 2e-16
    ours = macro_f1(np.eye(3, dtype=np.float32)[called], called)
    assert ours.low < ours.value == ours.high == 1
