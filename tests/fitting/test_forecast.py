import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.fitting.forecast import CONFIDENCE, FEWEST, LAG_LEFT, SPREAD, UNKNOWN, forecast

ITEMS = 10_000
SHARES = st.floats(0.1, 1.0)


def curve(end: float, epochs: int, start: float = 5.0) -> list[float]:
    """Make scores whose errors fall to one that is given."""
    shares = np.linspace(1 / epochs, 1, epochs)
    return [float(1 - end * start ** (1 - share)) for share in shares]


def behind(curve: Sequence[float], lag: float) -> np.ndarray:
    """Give the errors of one that lags, and will end so much (in logarithms) above a curve."""
    shares = np.linspace(1 / len(curve), 1, len(curve))
    return (1 - np.array(curve)) * np.exp(lag / (LAG_LEFT + (1 - LAG_LEFT) * shares))


@given(st.floats(0.01, 0.05), st.floats(-1.0, 1.0), st.integers(3, 40), SHARES)
def test_of_those_that_catch_up_the_end_is_told_exactly(
    end: float, lag: float, epochs: int, share: float
) -> None:
    reference = curve(end, epochs, start=2.0)
    scores = 1 - behind(reference, lag)
    told = forecast(scores[: max(1, int(share * epochs))].tolist(), reference, ITEMS)
    assert told.value == pytest.approx(1 - end * math.exp(lag), abs=1e-9)
    assert told.low < told.value < told.high <= 1


@pytest.mark.parametrize("seen", [2, 6, 12])
def test_of_students_that_catch_up_as_many_ends_are_inside_as_is_said(seen: int) -> None:
    draw, reference, inside = np.random.default_rng(seen), curve(0.08, 18, start=3.0), []
    for lag in draw.normal(0, 0.2, 1000):
        errors = behind(reference, lag)
        errors[-1] *= math.exp(draw.normal(0, SPREAD * (1 - seen / 18)))
        counted = 1 - draw.binomial(ITEMS, [1 - np.array(reference), errors]) / ITEMS
        told = forecast(counted[1][:seen].tolist(), counted[0].tolist(), ITEMS)
        inside.append(told.low <= counted[1][-1] <= told.high)
    assert np.mean(inside) == pytest.approx(CONFIDENCE, abs=0.05)


@given(st.integers(4, 30))
def test_the_longer_it_is_seen_the_surer_it_is(epochs: int) -> None:
    whole = curve(0.08, epochs)
    told = [forecast(whole[:n], curve(0.05, epochs), ITEMS) for n in range(1, epochs + 1)]
    widths = [math.log((1 - one.low) / (1 - one.high)) for one in told]
    assert all(a > b for a, b in itertools.pairwise(widths))


def test_a_run_that_is_over_is_only_as_uncertain_as_its_count() -> None:
    end = 0.1
    told = forecast(curve(end, 9), curve(end, 9), ITEMS)
    draw = np.random.default_rng(0)
    counted = 1 - draw.binomial(ITEMS, end, (2, 4000)) / ITEMS
    logs = np.log(1 - counted[0]) - np.log(1 - counted[1])  # of two counts, as it compares two
    inside = np.abs(end * (np.exp(logs) - 1)) <= (told.high - told.low) / 2
    assert inside.mean() == pytest.approx(CONFIDENCE, abs=0.03)


def test_who_is_far_behind_is_no_hope_though_the_first_makes_no_errors() -> None:
    reference = [0.67, 0.88, 0.89, 0.95, 0.99, 0.98, 0.99, 1.0, 0.99, *[1.0] * 9]
    scores = [0.11, 0.23, 0.17, 0.33, 0.38, 0.36]
    assert forecast(scores, reference, 144).high < 0.96


def test_without_errors_there_is_still_a_number() -> None:
    told = forecast([1.0, 1.0], [1.0, 1.0, 1.0], 100)
    assert told.low < told.value == 1 - FEWEST / 100 < told.high <= 1
    assert (UNKNOWN.low, UNKNOWN.high) == (0.0, 1.0)
