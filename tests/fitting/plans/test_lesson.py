import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from diptych.core.unlabelled import Unlabelled
from diptych.core.values import Dataset
from diptych.fitting.plans.lesson import with_lesson
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]
NETWORK = ResidualNetConfig(stem=8, widths=(8,), blocks=(0,))


def plan(name: str, epochs: float) -> ModelPlan:
    return ModelPlan(name=name, network=NETWORK, training=TrainingRecipe(epochs=epochs))


@pytest.mark.parametrize(
    ("count", "epochs", "expected"),
    [(20, 30, 20.0), (360, 30, 3.0), (360, 2, 2.0), (360, 60, 6.0), (0, 30, 30.0)],
)
def test_a_student_takes_as_many_steps_as_before_or_passes_three_times(
    make_dataset: MakeDataset, count: int, epochs: float, expected: float
) -> None:
    data = make_dataset(items=40)
    joined = np.zeros((40 + count, 8, 8, 1), np.uint8)
    more = Unlabelled(joined=joined, items=tuple(map(str, range(count))))
    data = dataclasses.replace(data, unlabelled=more)
    recipe = FitRecipe(
        teacher=plan("teacher", 30),
        students=(plan("student", epochs),),
        cheaper=(plan("cheaper", epochs),),
    )
    longer = with_lesson(recipe, data)
    assert longer.students[0].training.epochs == pytest.approx(expected)
    assert longer.cheaper[0].training.epochs == pytest.approx(expected)
    assert longer.teacher == recipe.teacher


def test_without_more_items_nothing_changes(make_dataset: MakeDataset) -> None:
    recipe = FitRecipe(teacher=plan("teacher", 30), students=(plan("student", 5),))
    assert with_lesson(recipe, make_dataset()) is recipe
