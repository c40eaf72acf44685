"""Tokens and categories that do not exist."""

import numpy as np
import pytest

from diptych.core.errors import DataError
from diptych.core.specs import AudioSpec, CategoryColumn, NumberColumn, TableSpec, TextSpec
from diptych.serving.ranges import check_range

TEXT = TextSpec(tokens=2, vocabulary=10)
TABLE = TableSpec(columns=(NumberColumn(name="a"), CategoryColumn(name="b", values=("x", "y"))))


@pytest.mark.parametrize("token", [-1, 10, 2**31 - 1])
def test_a_token_that_does_not_exist_is_refused(token):
    check_range(np.array([[0, 9]], np.int32), TEXT)
    with pytest.raises(DataError, match=f"token {token} "):
        check_range(np.array([[0, 1], [token, 9]], np.int32), TEXT)


@pytest.mark.parametrize("value", [-1, 3, 0.5, np.nan, np.inf])
def test_a_category_that_does_not_exist_is_refused(value):
    check_range(np.array([[np.nan, 0], [-9.5, 2]], np.float32), TABLE)
    with pytest.raises(DataError, match="column 'b': there is no category"):
        check_range(np.array([[1, 1], [1, value]], np.float32), TABLE)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_a_number_that_is_infinite_is_refused(value):
    with pytest.raises(DataError, match="column 'a' is infinite"):
        check_range(np.array([[1, 1], [value, 1]], np.float32), TABLE)


def test_samples_may_have_any_value():
    check_range(np.array([[-32768, 32767]], np.int16), AudioSpec(sample_rate=8000, samples=2))
