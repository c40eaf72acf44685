"""The recipes in the repository can be followed."""

from pathlib import Path

import pytest

from diptych.core.specs import ImageSpec
from diptych.fitting.recipe import read_recipe
from diptych.training.models import NETWORKS

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
PICTURES = {
    "cifar10": ImageSpec(height=32, width=32, channels=3),
    "fashion-mnist": ImageSpec(height=28, width=28, channels=1),
}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_can_be_read_and_its_network_built_for_its_data(path: Path) -> None:
    plan = read_recipe(path).teacher
    data, _, target = path.stem.removesuffix("-more").removesuffix("-last").rpartition("-")
    pictures = PICTURES[data.removesuffix("-wide")]
    network = NETWORKS[type(plan.network)](plan.network, pictures, 10)
    assert sum(weight.numel() for weight in network.parameters()) > 0
    assert target in {"tiny", "small"} or int(target) > 0
