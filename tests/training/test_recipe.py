import msgspec
import pytest

from diptych.training.recipe import Replan, TrainingRecipe


def test_a_recipe_survives_being_written_and_read() -> None:
    recipe = TrainingRecipe(epochs=3.5, replans=(Replan(step=20, remaining=7),))
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=TrainingRecipe) == recipe


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"momentum": 1.0}, {"batch_size": 0}, {"speed": 3}]
)
def test_a_recipe_with_an_impossible_or_unknown_setting_is_refused(settings: dict) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, TrainingRecipe)
