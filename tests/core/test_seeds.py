import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.seeds import STEPS_AT_ONCE, StepSeeds, derive, generator

NAMES = st.lists(st.text("abc-1", min_size=1, max_size=6), min_size=1, max_size=3)


def test_the_streams_of_a_seed_are_the_same_in_every_version() -> None:
    known = {
        ("student", "shuffle"): 3228631216090310422,
        ("data", "split", "test"): 7529320570898525434,
    }
    assert {names: derive(0, *names) for names in known} == known
    assert generator(7, "golden").permutation(6).tolist() == [0, 5, 2, 3, 4, 1]


@given(st.integers(-(2**70), 2**70), NAMES)
def test_a_derived_seed_fits_every_library(seed: int, names: list[str]) -> None:
    value = derive(seed, *names)
    assert 0 <= value < 2**63
    assert value == derive(seed, *names)


@given(st.tuples(st.integers(0, 99), NAMES), st.tuples(st.integers(0, 99), NAMES))
def test_another_seed_or_name_is_another_stream(
    one: tuple[int, list[str]], other: tuple[int, list[str]]
) -> None:
    assert (derive(one[0], *one[1]) == derive(other[0], *other[1])) == (one == other)


@pytest.mark.parametrize("other", [("b",), ("a", "a"), ("A",)])
def test_streams_are_not_correlated(other: tuple[str, ...]) -> None:
    n = 20_000
    first, second = generator(0, "a").normal(size=n), generator(0, *other).normal(size=n)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(n)


def test_drawing_from_one_stream_leaves_the_others_as_they_were() -> None:
    alone = generator(3, "b").random(5)
    generator(3, "a").random(1000)
    assert np.array_equal(generator(3, "b").random(5), alone)


def test_the_seeds_of_steps_are_derived_from_their_numbers_in_any_order() -> None:
    seeds = StepSeeds(3, "teacher", "network")
    steps = [0, 1, STEPS_AT_ONCE - 1, STEPS_AT_ONCE, 7, 10**7, 8, 0]
    assert [seeds.at(step) for step in steps] == [
        derive(3, "teacher", "network", str(step)) for step in steps
    ]
