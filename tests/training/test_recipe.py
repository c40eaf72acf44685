import msgspec
import pytest

from diptych.training.recipe import Replan, TrainingRecipe
from diptych.training.variation import PictureVariation


def test_a_recipe_survives_being_written_and_read() -> None:
    recipe = TrainingRecipe(
        epochs=3.5,
        optimizer="adamw",
        clip=1.0,
        averaging=0.99,
        balance=True,
        label_share=0.25,
        variation=PictureVariation(translate=1, cutout=0, flip=True),
        replans=(Replan(step=20, remaining=7),),
    )
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=TrainingRecipe) == recipe


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"momentum": 1.0},
        {"batch_size": 0},
        {"speed": 3},
        {"optimizer": "adam"},
        {"averaging": 1.0},
        {"clip": -1.0},
        {"label_share": 1.5},
        {"weight_decay": -1e-3},
        {"balance": "yes"},
        {"variation": {"type": "dance"}},
        {"variation": {"type": "picture", "translate": -1}},
        {"translate": 2},
        {"threads": 5000},
        {"threads": 10**20},
    ],
)
def test_a_recipe_with_an_impossible_or_unknown_setting_is_refused(settings: dict) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, TrainingRecipe)
