import math
from pathlib import Path

import pytest

import diptych
from diptych.core.errors import ConfigError
from diptych.fitting.asked import check_text_or_path, check_whole, seconds_of
from diptych.fitting.settings import Settings


def test_durations_are_seconds_or_texts() -> None:
    assert seconds_of("time_limit", None) is None
    assert seconds_of("time_limit", 90) == 90.0
    assert seconds_of("time_limit", "1.5h") == 5400.0


@pytest.mark.parametrize("value", [[5], -5, 0, math.nan, True, {}, "soon"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ConfigError):
        seconds_of("time_limit", value)


@pytest.mark.parametrize("value", ["7", 1.5, True, [1]])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"seed = .* is not possible"):
        check_whole("seed", value)
    check_whole("seed", -3)
    with pytest.raises(ConfigError, match="devices = -3 is not possible"):
        check_whole("devices", -3, least=1)


def test_paths_are_texts_or_paths() -> None:
    check_text_or_path("out", None)
    check_text_or_path("out", Path("a"))
    with pytest.raises(ConfigError, match="out = 3 is no path"):
        check_text_or_path("out", 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": 3},
        {"run": b"x"},
        {"recipe": {"teacher": {}}},
        {"recipe": "nowhere.toml"},
        {"goal": "regresion"},
        {"devices": 0},
        {"jobs": "2"},
        {"image_size": "32"},
        {"validation_items": 0},
        {"checkpoint_s": -1},
        {"label": 3},
    ],
)
def test_settings_of_another_type_are_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as error:
        Settings(**wrong)
    assert error.value.hint


def test_settings_take_texts_for_paths_and_the_file_of_a_recipe(tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "fashion-mnist-93.toml"
    settings = Settings(start="a.dip", run="b.run", recipe=str(recipe), checkpoint_s="2m")
    assert (settings.start, settings.run) == (Path("a.dip"), Path("b.run"))
    assert settings.recipe == Settings(recipe=recipe).recipe
    assert settings.checkpoint_s == 120.0


@pytest.mark.parametrize("verb", [diptych.fit, diptych.train])
@pytest.mark.parametrize("wrong", [{"seed": "7"}, {"time_limit": [5]}, {"out": 3}])
def test_nothing_is_read_before_what_was_asked_is_checked(verb, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        verb("nowhere-at-all", **wrong)
