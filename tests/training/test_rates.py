import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from diptych.training.feed import Feed
from diptych.training.objectives import learn_labels
from diptych.training.rate_finder import RANGES
from diptych.training.rates import with_rate
from diptych.training.recipe import TrainingRecipe

DRAW = np.random.default_rng(0)
ITEMS = DRAW.normal(size=(200, 5)).astype(np.float32)
TARGETS = torch.from_numpy((ITEMS[:, 0] > 0).astype(np.int64))
OBJECTIVE = learn_labels("classification", TARGETS, label_smoothing=0.0)
RECIPE = TrainingRecipe(learning_rate=None, batch_size=20)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 2))


def feed() -> Feed:
    return Feed(ITEMS, RECIPE, 0, torch.device("cpu"))


def test_a_given_rate_is_kept() -> None:
    given = replace(RECIPE, learning_rate=0.3)
    assert with_rate(network(), given, OBJECTIVE, feed()) is given


@pytest.mark.parametrize("optimizer", RANGES)
def test_a_rate_is_found_that_learns_and_leaves_network_and_generator_alone(optimizer: str) -> None:
    recipe = replace(RECIPE, optimizer=optimizer)
    model = network()
    kept = [value.clone() for value in model.state_dict().values()]
    state = torch.get_rng_state()
    found = with_rate(model, recipe, OBJECTIVE, feed())
    low, high = RANGES[optimizer]
    assert low < found.learning_rate < high
    assert found == replace(recipe, learning_rate=found.learning_rate)
    assert all(torch.equal(a, b) for a, b in zip(kept, model.state_dict().values(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert with_rate(network(), recipe, OBJECTIVE, feed()) == found
