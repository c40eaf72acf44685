"""Scores: of bool the proportions' own estimates, of float simulated coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.measure import proportions
from diptych.measure.scores import drop, samples_for_drop, samples_for_score, score

RIGHT = st.lists(st.booleans(), min_size=1, max_size=60).map(np.array)
F1_VALUES, F1_SHARES = np.array([0, 0.5, 2 / 3, 1]), np.array([0.03, 0.05, 0.12, 0.8])


@given(RIGHT)
def test_a_score_of_right_and_wrong_is_a_proportion(right: np.ndarray) -> None:
    assert score(right) == proportions.proportion(int(right.sum()), len(right))
    wanted = proportions.samples_for_proportion(int(right.sum()), len(right), 0.7)
    assert samples_for_score(right, 0.7) == wanted


@given(RIGHT, st.integers(0, 1000))
def test_a_drop_of_right_and_wrong_is_tangos(right: np.ndarray, seed: int) -> None:
    other = np.random.default_rng(seed).permutation(right)
    assert drop(right, other) == proportions.paired_drop(right, other)
    wanted = proportions.samples_for_drop(right, other, 0.1)
    assert samples_for_drop(right, other, 0.1) == wanted


def test_a_score_between_0_and_1_stays_there() -> None:
    low = score(np.array([0.0, 0, 0, 0, 0, 0, 0.5]))
    high = score(np.array([1.0, 1, 1, 1, 1, 1, 0.5]))
    assert low.low == 0 < low.value < low.high < 1
    assert 0 < high.low < high.value < high.high == 1


def test_a_perfect_score_is_not_certain() -> None:
    ours = score(np.ones(50))
    wilson = proportions.proportion(50, 50)
    assert (ours.value, ours.high) == (1.0, 1.0)
    assert ours.low == pytest.approx(wilson.low)


def test_scores_below_0_are_kept() -> None:
    assert score(np.array([-30.0, 1, 1, 1, -40, 1])).low < -20


def test_a_score_of_what_is_not_a_number_is_unknown() -> None:
    ours = score(np.array([1.0, math.nan] * 9))
    assert (ours.low, ours.high, ours.n) == (-math.inf, math.inf, 0)


def test_a_drop_is_the_mean_difference() -> None:
    random = np.random.default_rng(0)
    reference, candidate = random.random(200), random.random(200)
    ours = drop(reference, candidate)
    assert ours.value == pytest.approx(reference.mean() - candidate.mean())
    back = drop(candidate, reference)
    assert (back.low, back.high) == pytest.approx((-ours.high, -ours.low))


def test_pairing_makes_the_interval_narrow() -> None:
    random = np.random.default_rng(0)
    reference = random.random(200)
    paired = drop(reference, reference - 0.01 * random.random(200))
    shuffled = drop(reference, random.permutation(reference))
    assert paired.high - paired.low < (shuffled.high - shuffled.low) / 20


def test_the_same_answers_have_no_drop_yet_not_for_sure() -> None:
    reference = np.linspace(-3, 1, 100)
    ours = drop(reference, reference)
    assert ours.low < ours.value == 0 < ours.high
    assert ours.high == pytest.approx(4 * proportions.proportion(0, 100).high)


def test_one_of_both_being_bool_is_a_difference_of_numbers() -> None:
    right = np.array([True, False, True, True, False, True])
    assert drop(right, right.astype(float)).value == 0


@pytest.mark.parametrize("other", [np.ones(3), np.ones((4, 1)), np.ones(0)])
def test_scores_of_other_items_cannot_be_paired(other: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="cannot be paired"):
        drop(np.ones(4), other)


def test_a_drop_that_is_clear_needs_fewer_items() -> None:
    random = np.random.default_rng(0)
    reference = random.random(100)
    candidate = reference - 0.05 * random.random(100)
    near, far = (samples_for_drop(reference, candidate, limit) for limit in (0.03, 0.2))
    assert near is not None
    assert far is not None
    assert far < near
    assert samples_for_drop(reference, candidate, drop(reference, candidate).value) is None


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 50, 200, 1000])
def test_the_interval_covers_an_f1_per_item(n: int) -> None:
    truth, hits = F1_VALUES @ F1_SHARES, 0
    for seed in range(2000):
        ours = score(np.random.default_rng(seed).choice(F1_VALUES, n, p=F1_SHARES))
        hits += ours.low <= truth <= ours.high
    assert 0.93 < hits / 2000 < 0.995


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 400])
def test_the_interval_covers_a_paired_drop(n: int) -> None:
    hits = 0
    for seed in range(2000):
        random = np.random.default_rng(seed)
        reference = random.choice(F1_VALUES, n, p=F1_SHARES)
        worse = random.random(n) < 0.1
        candidate = np.where(worse, reference * random.choice([0.5, 1.0], n), reference)
        ours = drop(reference, candidate)
        hits += ours.low <= 0.1 * 0.25 * (F1_VALUES @ F1_SHARES) <= ours.high
    assert 0.93 < hits / 2000 < 0.995
