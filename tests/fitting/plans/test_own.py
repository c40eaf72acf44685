import numpy as np
import pytest

from diptych.core.values import DataRecord, Dataset, Split
from diptych.fitting.budget import Budget
from diptych.fitting.plans import plan_fit
from diptych.measure.machine import describe
from diptych.tasks.own import Task
from diptych.training.models import OwnConfig

TASK = Task(
    name="pairs",
    shape=(2,),
    decode=lambda item: item,
    network=lambda spec, outputs, width: None,
)


def dataset(count: int) -> Dataset:
    split = Split(
        inputs=np.zeros((count, 2), np.float32),
        targets=np.arange(count) % 2,
        items=("",) * count,
    )
    record = DataRecord(name="pairs", sha256="", counts={}, split_method="", seed=0)
    return Dataset(
        goal="classification",
        spec=TASK.spec,
        labels=("a", "b"),
        train=split,
        validation=split,
        test=split,
        record=record,
        own=TASK,
    )


@pytest.mark.parametrize("count", [2, 9, 1000, 100_000])
def test_the_teacher_has_full_width_and_students_less(count: int) -> None:
    plan = plan_fit(dataset(count), Budget(), describe(), 3, timed=False)
    assert plan.teacher.network == OwnConfig()
    assert [student.network for student in plan.students] == [
        OwnConfig(width=0.5),
        OwnConfig(width=0.25),
    ]
    assert 1 <= plan.teacher.training.batch_size <= count
    assert plan.seed == 3
