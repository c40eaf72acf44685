import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.measure.cost import usd, usd_per_million


def test_a_core_for_an_hour_costs_its_price() -> None:
    assert usd(3600.0, 0.05) == pytest.approx(0.05)


def test_a_millisecond_per_prediction_costs_about_a_cent_per_million() -> None:
    assert usd_per_million(0.001, 0.036) == pytest.approx(0.01)


@given(st.floats(0, 1e3), st.floats(0, 10))
def test_a_million_predictions_cost_a_million_times_one(seconds: float, price: float) -> None:
    assert usd_per_million(seconds, price) == pytest.approx(1e6 * usd(seconds, price))


@pytest.mark.parametrize(("seconds", "price"), [(-1, 1), (1, -1), (math.nan, 1), (1, math.nan)])
def test_what_is_negative_or_not_a_number_is_refused(seconds: float, price: float) -> None:
    with pytest.raises(ConfigError, match="no cost"):
        usd(seconds, price)
