import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.core.values import Estimate
from diptych.measure.decisions import decide, exact


def between(low: float, high: float) -> Estimate:
    return Estimate(value=(low + high) / 2, low=low, high=high, n=10, method="test")


@pytest.mark.parametrize(
    ("low", "high", "relation", "expected"),
    [
        (1, 2, "<=", "PASS"),
        (1, 3, "<=", "PASS"),
        (1, 3.1, "<=", "CANNOT TELL"),
        (3, 4, "<=", "CANNOT TELL"),
        (3.1, 4, "<=", "FAIL"),
        (1, math.inf, "<=", "CANNOT TELL"),
        (4, math.inf, "<=", "FAIL"),
        (3, 4, ">=", "PASS"),
        (2, 3, ">=", "CANNOT TELL"),
        (1, 2.9, ">=", "FAIL"),
        (math.nan, math.nan, "<=", "CANNOT TELL"),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, relation: str, expected: str) -> None:
    assert decide(between(low, high), relation, 3.0) == expected


@given(st.floats(-10, 10), st.floats(0, 5), st.floats(-10, 10))
def test_at_most_and_at_least_mirror_each_other(low: float, width: float, limit: float) -> None:
    mirrored = between(-(low + width), -low)
    assert decide(between(low, low + width), "<=", limit) == decide(mirrored, ">=", -limit)


def test_an_exact_number_is_always_decided() -> None:
    assert decide(exact(300.0, "files on disk"), "<=", 300.0) == "PASS"
    assert decide(exact(300.1, "files on disk"), "<=", 300.0) == "FAIL"


def test_an_unknown_relation_is_refused() -> None:
    with pytest.raises(ConfigError, match="'=='"):
        decide(between(1, 2), "==", 1.5)  # type: ignore[arg-type]
