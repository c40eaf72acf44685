import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.fitting.forecast import CONFIDENCE, UNKNOWN, forecast

ITEMS = 10_000
SHARES = st.floats(0.1, 1.0)


def curve(end: float, epochs: int, start: float = 5.0) -> list[float]:
    """Make scores whose errors fall to one that is given."""
    shares = np.linspace(1 / epochs, 1, epochs)
    return [float(1 - end * start ** (1 - share)) for share in shares]


@given(st.floats(0.01, 0.15), st.floats(0.01, 0.15), st.integers(3, 40), SHARES)
def test_of_curves_that_fall_alike_the_end_is_told_exactly(
    end: float, other: float, epochs: int, share: float
) -> None:
    seen = curve(end, epochs)[: max(1, int(share * epochs))]
    told = forecast(seen, curve(other, epochs), ITEMS)
    assert told.value == pytest.approx(1 - end, abs=1e-9)
    assert told.low < told.value < told.high <= 1


@given(st.integers(4, 30))
def test_the_longer_it_is_seen_the_surer_it_is(epochs: int) -> None:
    whole = curve(0.08, epochs)
    told = [forecast(whole[:n], curve(0.05, epochs), ITEMS) for n in range(1, epochs + 1)]
    widths = [one.high - one.low for one in told]
    assert all(a > b for a, b in itertools.pairwise(widths))


def test_a_run_that_is_over_is_only_as_uncertain_as_its_count() -> None:
    end = 0.1
    told = forecast(curve(end, 9), curve(end, 9), ITEMS)
    draw = np.random.default_rng(0)
    counted = 1 - draw.binomial(ITEMS, end, (2, 4000)) / ITEMS
    logs = np.log(1 - counted[0]) - np.log(1 - counted[1])  # of two counts, as it compares two
    inside = np.abs(end * (np.exp(logs) - 1)) <= (told.high - told.low) / 2
    assert inside.mean() == pytest.approx(CONFIDENCE, abs=0.03)


def test_without_errors_there_is_still_a_number() -> None:
    told = forecast([1.0, 1.0], [1.0, 1.0, 1.0], 100)
    assert told.low < told.value == 0.995 < told.high <= 1
    assert (UNKNOWN.low, UNKNOWN.high) == (0.0, 1.0)
