"""Numbers: against scikit-learn, a jackknife one by one, and simulated coverage."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from diptych.core.values import Estimate
from diptych.measure.means import mean
from diptych.measure.scores import drop
from diptych.tasks.regression import answer, item_scores, mae, r2, rmse, squared_errors

NUMBERS = hnp.arrays(np.float32, 12, elements=st.floats(-1000, 1000, width=32))


def draw(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw skewed targets, as prices are, and answers that are off by normal errors."""
    targets = random.lognormal(0, 0.6, n)
    outputs = targets + 0.3 * random.normal(size=n)
    return outputs.astype(np.float32)[:, None], targets.astype(np.float32)


def coverage(estimate: Callable[[np.random.Generator], Estimate], truth: float) -> float:
    found = [estimate(np.random.default_rng(seed)) for seed in range(1500)]
    return float(np.mean([each.low <= truth <= each.high for each in found]))


@settings(max_examples=25)
@given(NUMBERS, NUMBERS)
def test_scores_are_scikit_learns(called: np.ndarray, targets: np.ndarray) -> None:
    outputs = called[:, None]
    exact = targets.astype(np.float64)
    assert mae(outputs, targets).value == pytest.approx(mean_absolute_error(exact, called))
    assert rmse(outputs, targets).value == pytest.approx(root_mean_squared_error(exact, called))
    assume(np.sort(np.abs(exact - np.median(exact)))[-2] > 1e-3)
    assert r2(outputs, targets).value == pytest.approx(r2_score(exact, called), rel=1e-6, abs=1e-6)


def test_the_scores_of_items_are_jackknife_pseudo_values() -> None:
    outputs, targets = draw(np.random.default_rng(0), 30)
    whole = r2_score(targets, outputs[:, 0])
    pseudo = []
    for left_out in range(30):
        rest = np.arange(30) != left_out
        pseudo.append(30 * whole - 29 * r2_score(targets[rest], outputs[rest, 0]))
    ours = item_scores(outputs, targets)
    np.testing.assert_allclose(ours - ours.mean(), pseudo - np.mean(pseudo), rtol=1e-4, atol=1e-5)
    assert ours.mean() == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("targets", [[3.0] * 9, [3.0] * 8 + [4.0], [1.0, 2.0]])
def test_r2_is_unknown_where_targets_hardly_differ(targets: list[float]) -> None:
    outputs = np.full((len(targets), 1), 3, np.float32)
    ours = r2(outputs, np.array(targets, np.float32))
    assert (ours.low, ours.high, ours.n) == (-np.inf, np.inf, 0)
    right = item_scores(outputs, np.array(targets, np.float32))
    np.testing.assert_array_equal(right, np.array(targets) == 3)


def test_the_drop_is_the_loss_of_r2() -> None:
    outputs, targets = draw(np.random.default_rng(0), 200)
    worse = outputs + 0.1
    ours = drop(item_scores(outputs, targets), item_scores(worse, targets))
    lost = r2_score(targets, outputs) - r2_score(targets, worse)
    assert ours.value == pytest.approx(lost, abs=1e-5)


def test_no_error_seen_is_not_certainty() -> None:
    targets = np.arange(100, dtype=np.float32)
    for metric in (mae, rmse):
        ours = metric(targets[:, None], targets)
        assert ours.value == ours.low == 0
        assert 0 < ours.high < 50


def test_the_answer_is_the_value() -> None:
    answers = answer(["x", "y"], np.array([[1.5], [-2.0]], np.float32), ("price",))
    assert [each.value for each in answers] == [1.5, -2.0]
    assert [each.label for each in answers] == ["", ""]


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 300, 2000])
def test_the_interval_covers_r2_as_one_with_fixed_variance_does_not(n: int) -> None:
    truth = r2(*draw(np.random.default_rng(1), 2_000_000)).value

    def fixed(random: np.random.Generator) -> Estimate:
        outputs, targets = draw(random, n)
        return mean(1 - squared_errors(outputs, targets) / targets.astype(np.float64).var())

    assert coverage(lambda random: r2(*draw(random, n)), truth) > 0.915
    assert coverage(fixed, truth) < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 300, 2000])
def test_the_interval_covers_rmse(n: int) -> None:
    assert coverage(lambda random: rmse(*draw(random, n)), 0.3) > 0.93


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 300, 2000])
def test_the_interval_covers_the_drop_of_r2(n: int) -> None:
    def lost(random: np.random.Generator, n: int) -> Estimate:
        outputs, targets = draw(random, n)
        worse = outputs + 0.1 * random.normal(size=(n, 1))
        return drop(item_scores(outputs, targets), item_scores(worse, targets))

    truth = lost(np.random.default_rng(1), 2_000_000).value
    assert coverage(lambda random: lost(random, n), truth) > 0.925
