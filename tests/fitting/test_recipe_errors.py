from pathlib import Path

import pytest
from msgspec import structs

from diptych.core.errors import ConfigError
from diptych.fitting.recipe import FitRecipe, read_recipe
from diptych.training.recipe import TrainingRecipe

RECIPE = """
[teacher]
name = "teacher"
[teacher.network]
name = "residual"
stem = 8
widths = [16]
blocks = [0]
[teacher.training]
"""


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("learning_rate = -1", "learning_rate` (it is -1)", "compare it with the recipe"),
        ('optimizer = "adam"', "(it is 'adam')", "choose one of: adamw, muon, schedule-free, sgd"),
        ("stem = 4", "unknown field `stem`", "stem is a setting of residual, dscnn, conformer"),
        ("patiense = 4", "unknown field `patiense`", "did you mean 'patience'?"),
        ("lr = 0.1", "unknown field `lr`", "known: accumulation, arithmetic, averaging, balance, "),
        ("[teacher.training.variation]\ntype = 'text'\nodd = 1", "`odd`", "known: cutout, flip, "),
        ("[[students]]\nqqq = 1", "unknown field `qqq`", "known: kept, name, network, prune, "),
        ('variation = { type = "film" }', "Invalid value 'film'", "compare it with"),
        ("mixup = inf", "(it is inf)", "compare it with"),
        ("target_score = 93", "target_score` (it is 93)", "compare it with"),
        ("[[students]]\nname = 'x'\nnetwork = {name = 'vgg'}", "(it is 'vgg')", "networks: "),
    ],
)
def test_the_value_is_named_and_what_may_be_there(
    tmp_path: Path, line: str, message: str, hint: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RECIPE + line)
    with pytest.raises(ConfigError) as error:
        read_recipe(path)
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert error.value.hint.startswith(hint)


def test_of_a_setting_like_no_other_those_of_its_table_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RECIPE + "lr = 0.1")
    with pytest.raises(ConfigError) as error:
        read_recipe(path)
    listed = error.value.hint.removeprefix("known: ").split(", ")
    assert set(listed) == {field.name for field in structs.fields(TrainingRecipe)}
    path.write_text("qqq = 1\n" + RECIPE)
    with pytest.raises(ConfigError) as error:
        read_recipe(path)
    listed = error.value.hint.removeprefix("known: ").split(", ")
    assert set(listed) == {field.name for field in structs.fields(FitRecipe)}


def test_networks_are_listed_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RECIPE.replace('"residual"', '"resnet"'))
    with pytest.raises(ConfigError) as error:
        read_recipe(path)
    names = error.value.hint.removeprefix("networks: ").split(", ")
    assert {"residual", "dscnn", "tabular"} <= set(names)
    assert len(set(names)) == len(names)
