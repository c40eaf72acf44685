from collections.abc import Callable

import numpy as np
import pytest
import torch

from diptych.compression.function import FunctionNetwork, name_of
from diptych.core.errors import ConfigError


def double(inputs: np.ndarray) -> np.ndarray:
    return 2 * inputs.astype(np.float64)


class Service:
    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        return inputs


def test_a_function_answers_like_a_network() -> None:
    inputs = torch.arange(6).view(3, 2)
    told = FunctionNetwork(double, 2)(inputs)
    assert told.dtype == torch.float32
    assert torch.equal(told, 2.0 * inputs)


def test_a_function_may_write_to_what_it_is_given() -> None:
    def spoil(inputs: np.ndarray) -> np.ndarray:
        inputs[:] = 9
        return np.zeros((len(inputs), 1))

    inputs = torch.zeros(3, 2)
    FunctionNetwork(spoil, 1)(inputs)
    assert not inputs.any()


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda inputs: inputs[:, :1], r"answers 3 items with \(3, 1\)"),
        (lambda inputs: inputs[0], r"answers 3 items with \(2,\)"),
        (lambda inputs: inputs * np.nan, "not finite"),
    ],
)
def test_other_answers_are_refused(function: Callable[[np.ndarray], np.ndarray], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        FunctionNetwork(function, 2)(torch.ones(3, 2))


def test_functions_and_objects_are_called_by_where_they_are_from() -> None:
    assert name_of(double) == f"{__name__}:double"
    assert name_of(Service()) == f"{__name__}:Service"
