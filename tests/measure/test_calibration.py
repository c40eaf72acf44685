"""Calibration: against a loop over bins and SciPy's minimizer, and by simulated coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from diptych.measure.calibration import (
    ITEMS_PER_BIN,
    MOST_BINS,
    calibration_error,
    temperature_of_classes,
    temperature_of_labels,
)

Draw = tuple[np.ndarray, np.ndarray]
"""Stated probabilities, and the true ones, (M,)."""


def calibrated(rng: np.random.Generator, n: int) -> Draw:
    stated = rng.beta(8, 1, n)
    return stated, stated


def very_sure(rng: np.random.Generator, n: int) -> Draw:
    stated = 1 - rng.exponential(0.005, n).clip(0, 0.9)
    return stated, stated


def too_sure(rng: np.random.Generator, n: int) -> Draw:
    stated = rng.beta(8, 1, n)
    return stated, np.clip(stated - 0.15, 0, 1)


def sure_and_sometimes_wrong(rng: np.random.Generator, n: int) -> Draw:
    return np.full(n, 0.9999), np.full(n, 0.99)


def binned_error(stated: np.ndarray, share: np.ndarray, bins: int) -> float:
    """Compute the error in bins of equal mass, one bin after the other."""
    order = np.argsort(stated, kind="stable")
    parts = [order[np.arange(len(order)) * bins // len(order) == k] for k in range(bins)]
    return float(sum(abs((share - stated)[part].sum()) for part in parts) / len(stated))


@pytest.mark.parametrize("n", [1, 19, 45, 400])
def test_the_error_equals_a_loop_over_bins(n: int) -> None:
    rng = np.random.default_rng(n)
    stated, happened = rng.random(n), rng.random(n) < 0.5
    found = calibration_error(stated, happened)
    assert found.bins == max(1, min(MOST_BINS, n // ITEMS_PER_BIN))
    assert found.error.value == pytest.approx(binned_error(stated, happened, found.bins))


def test_what_is_known_by_hand() -> None:
    as_often = calibration_error(np.full(8, 0.75), np.array([True, True, True, False] * 2))
    assert as_often.error.value == pytest.approx(0, abs=1e-12)
    never = calibration_error(np.ones(5), np.zeros(5, bool))
    assert (never.error.value, never.error.high, never.floor) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("n", [100, 1000, 5000])
@pytest.mark.parametrize("draw", [calibrated, very_sure, too_sure, sure_and_sometimes_wrong])
def test_the_interval_holds_the_error_at_least_as_often_as_it_says(draw, n: int) -> None:
    rng, misses, times = np.random.default_rng(7), 0, 200
    for _ in range(times):
        stated, true = draw(rng, n)
        found = calibration_error(stated, rng.random(n) < true)
        truth = binned_error(stated, true, found.bins)
        misses += not found.error.low <= truth <= found.error.high
    assert misses / times <= 0.09


@pytest.mark.parametrize("n", [200, 2000])
def test_the_floor_is_what_a_calibrated_model_shows(n: int) -> None:
    rng = np.random.default_rng(1)
    found = [
        calibration_error(s, rng.random(n) < t) for s, t in (calibrated(rng, n) for _ in range(100))
    ]
    shown = float(np.mean([one.error.value for one in found]))
    assert shown == pytest.approx(np.mean([one.floor for one in found]), rel=0.15)


def test_a_model_that_is_far_off_is_told_from_chance() -> None:
    rng = np.random.default_rng(2)
    stated, true = too_sure(rng, 5000)
    assert calibration_error(stated, rng.random(5000) < true).error.low > 0.1


def test_statements_about_one_item_count_as_one() -> None:
    rng = np.random.default_rng(3)
    stated = rng.random(300)
    happened = rng.random(300) < stated
    alone = calibration_error(stated, happened)
    thrice = calibration_error(
        np.repeat(stated, 3), np.repeat(happened, 3), np.repeat(np.arange(300), 3)
    )
    assert thrice.error.n == alone.error.n == 300
    assert thrice.error.value == pytest.approx(alone.error.value)
    assert thrice.floor == pytest.approx(alone.floor, rel=0.05)


@given(st.integers(0, 2**32 - 1))
def test_bounds_and_floor_are_in_order_whatever_is_stated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 200))
    stated, happened = rng.random(n).round(int(rng.integers(0, 3))), rng.random(n) < rng.random()
    found = calibration_error(stated, happened)
    assert 0 <= found.error.low <= found.error.value <= found.error.high <= 1
    assert found.floor >= 0


def logits_of(
    rng: np.random.Generator, n: int, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    logits = 3 * rng.normal(size=(n, 5))
    shares = special.softmax(logits / temperature, axis=1)
    return logits, (shares.cumsum(1) > rng.random((n, 1))).argmax(1)


def test_the_temperature_is_where_scipy_finds_the_least_cross_entropy() -> None:
    rng = np.random.default_rng(4)
    logits, targets = logits_of(rng, 400, 1.7)

    def loss(temperature: float) -> float:
        shares = special.log_softmax(logits / temperature, axis=1)
        return float(-shares[np.arange(400), targets].mean())

    best = optimize.minimize_scalar(
        loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-9}
    )
    found = temperature_of_classes(logits, targets)
    assert found.value == pytest.approx(best.x, rel=1e-5)
    halved = temperature_of_classes(logits / 2, targets)
    assert halved.value == pytest.approx(found.value / 2, rel=1e-6)


def test_the_temperature_of_labels_is_where_scipy_finds_the_least_cross_entropy() -> None:
    rng = np.random.default_rng(5)
    logits = 3 * rng.normal(size=(300, 4))
    targets = (rng.random((300, 4)) < special.expit(logits / 0.6)).astype(float)

    def loss(temperature: float) -> float:
        signs = np.where(targets > 0, 1, -1)
        return float(-special.log_expit(signs * logits / temperature).mean())

    best = optimize.minimize_scalar(
        loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-9}
    )
    assert temperature_of_labels(logits, targets).value == pytest.approx(best.x, rel=1e-5)


def test_the_interval_of_the_temperature_covers_as_often_as_it_says() -> None:
    rng, times = np.random.default_rng(6), 150
    found = [temperature_of_classes(*logits_of(rng, 300, 1.4)) for _ in range(times)]
    covered = np.mean([one.low <= 1.4 <= one.high for one in found])
    assert covered >= 0.89


def test_without_a_best_temperature_nothing_is_known() -> None:
    right = 5 * np.eye(3)[np.arange(30) % 3]
    for targets in (np.arange(30) % 3, (np.arange(30) + 1) % 3):
        assert temperature_of_classes(right, targets).n == 0
    assert "undefined" in temperature_of_labels(right, right).method
    assert temperature_of_labels(np.zeros((4, 2)), np.ones((4, 2))).n == 0


def test_the_temperature_of_answers_that_are_all_alike_is_not_known() -> None:
    logits = np.array([[1e-6, 0.0]] * 40 + [[1e-10, 0.0]])
    found = temperature_of_classes(logits, np.array([0] * 20 + [1] * 20 + [0]))
    assert "too much alike" in found.method
    assert found.n == 0
