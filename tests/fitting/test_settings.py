from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from diptych.core.progress import silent
from diptych.core.values import Goal
from diptych.data.reading import Options
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import SETTINGS, Settings
from diptych.tasks.own import Task
from diptych.training.models import ResidualNetConfig
from diptych.training.models.given import Given
from diptych.training.recipe import TrainingRecipe


def test_the_usual_settings_show_nothing_and_stop_never() -> None:
    assert SETTINGS.report is silent
    assert not SETTINGS.stop
    assert SETTINGS.target == "cpu"


def test_settings_cannot_be_changed_and_share_no_request_to_stop() -> None:
    with pytest.raises(FrozenInstanceError):
        SETTINGS.target = "other"  # type: ignore[misc]
    one, other = Settings(), Settings()
    one.stop.requested = True
    assert not other.stop


def test_a_time_limit_counts_from_the_start_that_is_given_or_from_now() -> None:
    ticks = iter((5.0, 6.0))
    settings = Settings(clock=lambda: next(ticks))
    assert [settings.begin(), settings.begin()] == [5.0, 6.0]
    assert Settings(started=2.5, clock=lambda: 9.0).begin() == 2.5
    assert Settings(started=0.0, clock=lambda: 9.0).begin() == 0.0


def test_what_is_asked_of_the_data_reaches_its_reader() -> None:
    settings = Settings(
        label="age",
        goal="ordinal",
        order=("low", "high"),
        image_size=32,
        skip_unreadable=True,
        cache=False,
        validation_items=100,
    )
    assert settings.reading(7) == Options(
        seed=7,
        target="age",
        goal="ordinal",
        order=("low", "high"),
        image_size=32,
        skip_unreadable=True,
        cache=False,
        validation_items=100,
    )


@pytest.mark.parametrize("asked", [None, "classification"])
def test_what_is_told_is_what_a_task_of_ones_own_says_unless_it_is_asked_for(
    asked: Goal | None,
) -> None:
    task = Task(
        name="ages", shape=(1,), goal="ordinal", decode=np.array, network=lambda *given: None
    )
    assert Settings(task=task, goal=asked).reading(0).goal == (asked or "ordinal")


PLAN = ModelPlan(
    name="teacher",
    network=ResidualNetConfig(stem=8, widths=(), blocks=()),
    training=TrainingRecipe(),
)


def test_as_many_items_are_held_back_as_asked_for_or_as_the_recipe_says() -> None:
    settings = Settings(recipe=FitRecipe(teacher=PLAN, validation_items=50))
    assert settings.held_back() == 50
    assert replace(settings, validation_items=60).held_back() == 60
    assert Settings().held_back() is None


def test_the_seed_is_the_one_asked_for_or_the_recipes_or_0() -> None:
    settings = Settings(recipe=FitRecipe(teacher=PLAN, seed=5))
    assert [settings.seed(given) for given in (3, 0, None)] == [3, 0, 5]
    assert Settings().seed(None) == 0


def test_a_text_is_the_path_of_a_teacher_alone_and_among_others() -> None:
    assert Settings(teacher="large.dip").teachers() == (Path("large.dip"),)  # type: ignore[arg-type]
    several = Settings(teacher=["a.dip", Path("b.dip"), len])  # type: ignore[list-item]
    assert several.teachers() == (Path("a.dip"), Path("b.dip"), len)


def test_another_teacher_or_another_of_its_outputs_is_another_request() -> None:
    given = Given(source="net.py:make", network=nn.Identity(), sha256="1" * 64)
    settings = [
        Settings(),
        Settings(teacher=Path("a.onnx")),
        Settings(teacher=Path("b.onnx")),
        Settings(teacher=Path("a.onnx"), output="scores"),
        Settings(given=given),
        Settings(given=replace(given, output="scores")),
        Settings(given=replace(given, sha256="2" * 64)),
    ]
    assert settings[0].taught_by() is None
    assert len({each.taught_by() for each in settings}) == len(settings)
    there = Settings(teacher=Path("a.onnx").resolve())
    assert there.taught_by() == settings[1].taught_by()
