"""Who pays: known answers, invariants, and the simulated rate of false alarms and of finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from diptych.measure.burdens import LEVEL, burdens
from diptych.measure.signs import losing

HARD = np.array([0.001] * 8 + [0.03, 0.06])
GROUPS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 500)), min_size=1, max_size=8
)


def rate(
    sizes: list[int], lost: np.ndarray | float, gained: np.ndarray | float, times: int
) -> float:
    """Simulate how often any group is told to pay."""
    rng, n = np.random.default_rng(0), np.array(sizes)
    shares = np.broadcast_to(np.stack(np.broadcast_arrays(lost, gained), -1), (len(n), 2))
    chances = np.concatenate([shares, 1 - shares.sum(1, keepdims=True)], axis=1)
    draws = rng.multinomial(n, chances, size=(times, len(n)))
    return float(np.mean([(burdens(d[:, 0], d[:, 1], n) <= LEVEL).any() for d in draws]))


@pytest.mark.parametrize(
    ("sizes", "lost", "gained"),
    [
        ([1000] * 10, HARD, HARD),  # no damage; two classes are hard and flip both ways
        ([1000] * 10, HARD + 0.005, HARD),  # all lose alike
        ([1000] * 10, HARD + 0.02, HARD),
        ([100] * 10, 0.05, 0.0),  # nothing can be gained
        ([1000] * 10, 0.05, 0.0),
        ([100] * 10, 0.2, 0.0),
        ([1000, 20], 0.03, 0.01),
        ([1000, 1000], 0.03, 0.01),
        ([20, 20], 0.23, 0.21),
        ([1000] * 10, 0.01, 0.03),  # all gain
    ],
)
def test_where_all_share_the_damage_false_alarms_are_as_rare_as_said(
    sizes: list[int], lost: np.ndarray | float, gained: np.ndarray | float
) -> None:
    times = 600
    allowed = stats.binom.ppf(0.999, times, LEVEL) / times
    assert rate(sizes, lost, gained, times) <= allowed


@pytest.mark.parametrize(("classes", "size"), [(100, 100), (300, 20)])
def test_many_classes_are_no_reason_for_an_alarm(classes: int, size: int) -> None:
    assert rate([size] * classes, 0.05, 0.02, 40) <= 0.15


def test_one_class_that_pays_for_all_is_found() -> None:
    lost = np.array([0.002] * 9 + [0.05])
    assert rate([1000] * 10, lost, 0.002, 100) == 1.0
    assert rate([100, 100], np.array([0.4, 0.05]), 0.05, 100) >= 0.95


def test_few_losses_prove_nothing_and_more_do() -> None:
    def p_value(lost: int) -> float:
        return float(burdens(np.array([lost] + [0] * 9), np.zeros(10), np.full(10, 1000))[0])

    assert p_value(7) > LEVEL > p_value(9)
    assert p_value(9) == pytest.approx(10 * losing(9, 0))


def test_a_class_that_flips_both_ways_does_not_pay() -> None:
    found = burdens(np.array([60, 1, 1]), np.array([58, 1, 1]), np.full(3, 1000))
    assert (found > 0.5).all()


def test_of_two_classes_alike_none_pays() -> None:
    assert (burdens(np.array([40, 40]), np.array([5, 5]), np.full(2, 200)) > LEVEL).all()


@pytest.mark.parametrize("sizes", [[0, 0], [30, 0]])
def test_without_others_nothing_is_told(sizes: list[int]) -> None:
    lost = np.array([20 * (size > 0) for size in sizes])
    assert (burdens(lost, np.zeros(2), np.array(sizes)) > LEVEL).all()


@given(GROUPS, st.randoms(use_true_random=False))
def test_p_values_go_with_their_groups_whatever_the_order(groups, random) -> None:
    rows = [(lost, gained, lost + gained + more) for lost, gained, more in groups]
    order = random.sample(range(len(rows)), len(rows))
    first = burdens(*np.array(rows).T)
    again = burdens(*np.array([rows[place] for place in order]).T)
    assert again == pytest.approx(first[order])
    assert ((first >= 0) & (first <= 1)).all()


@given(GROUPS)
def test_who_gained_as_much_as_it_lost_never_pays(groups) -> None:
    lost, gained, more = np.array(groups).T
    found = burdens(lost, gained, lost + gained + more)
    assert (found[lost <= gained] > LEVEL).all()
