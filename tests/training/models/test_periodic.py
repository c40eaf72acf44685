from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from diptych.training.models.knots import knots
from diptych.training.models.periodic import Periodic

PIECES = 64


def learned(values: np.ndarray, *, waves: int = 3, deviation: float = 1.0) -> Periodic:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Periodic(1, PIECES, waves, deviation)
    network.learn_heights(0, values, knots(values, PIECES))
    return network


def pieces_of(values: np.ndarray, cuts: np.ndarray) -> torch.Tensor:
    """The share of each piece that each value has passed, (N, 1, T)."""
    passed = np.zeros((len(values), 1, PIECES), np.float32)
    for place, (low, high) in enumerate(pairwise(cuts)):
        passed[:, 0, place] = np.clip((values - low) / (high - low), 0, 1)
    return torch.from_numpy(passed)


def angles(network: Periodic, pieces: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        cosines, sines = network(pieces).numpy().reshape(len(pieces), 2, -1).transpose(1, 0, 2)
    return np.arctan2(sines, cosines)


def test_waves_are_those_of_the_numbers_place_in_a_normal_distribution() -> None:
    values = np.random.default_rng(0).exponential(100.0, 4_000)
    network = learned(values, deviation=0.02)
    places = stats.norm.ppf(stats.expon.cdf(values, scale=100.0))
    usual = np.abs(places) < 2
    expected = 2 * np.pi * places[:, None] * network.frequencies.detach().numpy()
    found = angles(network, pieces_of(values, knots(values, PIECES)))
    assert np.abs(found - expected)[usual].max() < 0.02
    assert np.ptp(expected[usual], axis=0).min() > 0.05


@given(st.floats(0.01, 1e6), st.floats(-1e6, 1e6))
def test_waves_do_not_depend_on_the_unit_of_a_number(scale: float, offset: float) -> None:
    values = np.random.default_rng(0).normal(size=500)
    moved = values * scale + offset
    first, second = learned(values), learned(moved)
    np.testing.assert_allclose(first.heights, second.heights, atol=1e-3)
    assert first.lowest == second.lowest


def test_the_numbers_of_a_column_that_tells_nothing_give_the_same_waves() -> None:
    for values in (np.full(20, 7.0), np.full(20, np.nan)):
        network = learned(values)
        assert network(torch.rand(5, 1, PIECES)).detach().std(0).max() == 0


def test_missing_numbers_have_no_part_in_how_the_others_are_spread() -> None:
    values = np.random.default_rng(0).normal(size=300)
    gaps = np.concatenate([values, np.full(200, np.nan)])
    assert torch.equal(learned(values).heights, learned(gaps).heights)


def test_first_frequencies_deviate_as_told() -> None:
    network = learned(np.arange(10.0), waves=10_000, deviation=0.3)
    assert abs(network.frequencies.std().item() - 0.3) < 0.01
