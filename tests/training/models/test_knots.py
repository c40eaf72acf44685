import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from diptych.training.models.knots import knots

FLOATS = st.floats(width=32, allow_infinity=False) | st.sampled_from([0.0, 1.0])


@given(hnp.arrays(np.float32, st.integers(0, 200), elements=FLOATS), st.integers(1, 40))
def test_knots_are_values_of_the_column_in_order_and_never_too_many(
    values: np.ndarray, pieces: int
) -> None:
    cuts = knots(values, pieces)
    assert len(cuts) <= pieces + 1
    assert np.isin(cuts, values).all()
    assert (np.diff(cuts) > 0).all()
    present = values[~np.isnan(values)]
    assert len(cuts) == len(np.unique(present)) or len(cuts) > 1


def test_pieces_of_an_even_column_hold_about_as_many_values() -> None:
    values = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    cuts = knots(values, 16)
    shares = np.histogram(values, cuts)[0] / len(values)
    assert shares.max() < 0.13
    assert (cuts[0], cuts[-1]) == (values.min(), values.max())


def test_rare_values_of_a_column_that_is_nearly_always_0_are_cut_apart() -> None:
    random = np.random.default_rng(0)
    values = np.where(random.random(10_000) < 0.95, 0, random.integers(1, 1000, 10_000))
    quantiles = np.unique(np.quantile(values, np.linspace(0, 1, 33)))
    assert len(quantiles) < 6
    assert len(knots(values.astype(np.float32), 32)) > 16
