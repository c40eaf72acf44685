from collections.abc import Callable
from typing import get_args

import pytest

from diptych.core.manifest import Machine
from diptych.core.specs import ImageSpec, InputSpec
from diptych.core.values import Dataset, Goal
from diptych.fitting.budget import Budget
from diptych.fitting.plans import PLANS, image, plan_fit
from diptych.training.models import ResidualNetConfig

MakeDataset = Callable[..., Dataset]
BUDGET = Budget.parse("drop<=1%, size<=100KB")


@pytest.mark.parametrize("goal", get_args(Goal))
def test_pictures_are_planned_by_the_plan_of_pictures_whatever_the_goal(
    make_dataset: MakeDataset, machine: Machine, goal: Goal
) -> None:
    data = make_dataset(goal=goal)
    for timed in (False, True):
        found = plan_fit(data, BUDGET, machine, 3, timed=timed)
        assert found == image.plan(data, BUDGET, machine, 3, timed=timed)
        assert isinstance(found.teacher.network, ResidualNetConfig)
        assert found.students
        assert (found.seed, found.programs) == (3, ())


def test_every_plan_is_of_a_kind_of_input() -> None:
    assert set(PLANS) <= set(get_args(InputSpec))
    assert PLANS[ImageSpec] is image.plan
