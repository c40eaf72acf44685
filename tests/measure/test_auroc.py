"""The area under the ROC curve: against scikit-learn, a pairwise DeLong, and simulated coverage."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from diptych.measure.auroc import auroc, components
from diptych.measure.proportions import proportion

CASES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40)


def naive_delong(scores: np.ndarray, positives: np.ndarray) -> tuple[float, float]:
    """Compute area and variance pair by pair."""
    above, below = scores[positives], scores[~positives]
    right = [[(a > b) + 0.5 * (a == b) for b in below] for a in above]
    table = np.array(right, float)
    variance = table.mean(1).var(ddof=1) / len(above) + table.mean(0).var(ddof=1) / len(below)
    return float(table.mean()), float(variance)


def draw(seed: int, above: int, below: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    positives = np.arange(above + below) < above
    return (random.normal(size=above + below) + apart * positives)[:, None], positives[:, None]


@settings(max_examples=40)
@given(CASES)
def test_area_and_variance_are_those_of_the_pairwise_computation(
    case: list[tuple[int, bool]],
) -> None:
    scores, positives = np.array([s for s, _ in case]), np.array([p for _, p in case])
    assume(2 <= positives.sum() <= len(case) - 2)
    area, own = components(scores, positives)
    expected, variance = naive_delong(scores, positives)
    assert area == pytest.approx(expected)
    assert area == pytest.approx(roc_auc_score(positives, scores))
    assert own @ own == pytest.approx(variance, abs=1e-12)


def test_of_many_items_the_interval_is_delongs() -> None:
    scores, positives = draw(0, 3000, 3000, 1.0)
    ours = auroc(scores, positives)
    area, own = components(scores[:, 0], positives[:, 0])
    half = 1.96 * math.sqrt(own @ own)
    assert (ours.low, ours.high) == pytest.approx((area - half, area + half), abs=3e-4)


def test_the_mean_over_labels_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    positives = random.random((200, 5)) < [0.05, 0.2, 0.5, 0.8, 0.9]
    scores = random.normal(size=(200, 5)) + positives
    ours = auroc(scores, positives)
    assert ours.value == pytest.approx(roc_auc_score(positives, scores, average="macro"))
    assert ours.low < ours.value < ours.high
    assert ours.method.startswith("mean over 5 of 5 labels")


def test_a_label_told_twice_adds_no_certainty() -> None:
    scores, positives = draw(3, 100, 150, 1.0)
    once = auroc(scores, positives)
    twice = auroc(np.tile(scores, 2), np.tile(positives, 2))
    expected = (once.value, once.low, once.high)
    assert (twice.value, twice.low, twice.high) == pytest.approx(expected, rel=1e-3)


def test_independent_labels_make_the_mean_more_certain() -> None:
    pairs = [draw(seed, 200, 200, 1.0) for seed in range(4)]
    order = [np.random.default_rng(seed).permutation(400) for seed in range(4)]
    scores = np.hstack([s[o] for (s, _), o in zip(pairs, order, strict=True)])
    positives = np.hstack([p[o] for (_, p), o in zip(pairs, order, strict=True)])
    four, one = auroc(scores, positives), auroc(scores[:, :1], positives[:, :1])
    assert (four.high - four.low) == pytest.approx((one.high - one.low) / 2, rel=0.2)


def test_labels_that_all_or_no_items_have_are_left_out() -> None:
    scores, positives = draw(1, 30, 40, 1.0)
    more = np.hstack([positives, np.ones_like(positives), np.zeros_like(positives)])
    ours = auroc(np.tile(scores, 3), more)
    assert ours.value == auroc(scores, positives).value
    assert ours.method.startswith("mean over 1 of 3 labels")


@pytest.mark.parametrize("value", [0, 1])
def test_of_one_class_nothing_is_known(value: int) -> None:
    ours = auroc(np.zeros((9, 1)), np.full((9, 1), bool(value)))
    assert (ours.low, ours.high, ours.n) == (-math.inf, math.inf, 0)
    assert ours.method == "undefined: every item is of one class"


def test_of_what_is_not_a_number_nothing_is_known() -> None:
    ours = auroc(np.array([[1.0], [math.nan]]), np.array([[True], [False]]))
    assert ours.method == "undefined: a score is not a number"


@pytest.mark.parametrize("sign", [1, -1])
def test_perfect_order_is_as_certain_as_the_smaller_side_allows(sign: int) -> None:
    positives = np.arange(100)[:, None] < 20
    ours = auroc(sign * positives.astype(float), positives)
    wilson = proportion(20 if sign > 0 else 0, 20)
    assert (ours.value, ours.low, ours.high) == pytest.approx(
        (wilson.value, wilson.low, wilson.high)
    )


@given(CASES)
def test_the_interval_holds_the_area_and_stays_within_0_and_1(
    case: list[tuple[int, bool]],
) -> None:
    scores, positives = np.array([[s] for s, _ in case]), np.array([[p] for _, p in case])
    assume(0 < positives.sum() < len(case))
    ours = auroc(scores, positives)
    assert 0 <= ours.low <= ours.value <= ours.high <= 1
    assert ours.low < ours.high


@pytest.mark.slow
@pytest.mark.parametrize(("above", "below"), [(10, 40), (10, 400), (25, 475), (100, 1900)])
@pytest.mark.parametrize("apart", [1.0, 1.5, 2.83, 3.5, 5.0])
def test_the_interval_covers_the_area(above: int, below: int, apart: float) -> None:
    truth, hits = float(norm.cdf(apart / math.sqrt(2))), 0
    for seed in range(800):
        ours = auroc(*draw(seed, above, below, apart))
        hits += ours.low <= truth <= ours.high
    assert hits / 800 > 0.93
