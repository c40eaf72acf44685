import numpy as np
import pytest
import torch

from diptych.core.manifest import Machine
from diptych.core.specs import CategoryColumn, ImageSpec, NumberColumn, TableSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.fitting.budget import Budget
from diptych.fitting.plans import plan_fit
from diptych.fitting.plans.table import estimated_int8_bytes, student_networks, table_of
from diptych.targets.onnx import export
from diptych.targets.quantization import quantize_onnx
from diptych.training.models import TabularConfig
from diptych.training.models.tabular import Tabular
from diptych.training.trees import TreesConfig


def dataset(rows: int, numbers: int = 6, words: int = 8) -> Dataset:
    columns = [NumberColumn(name=f"n{place}") for place in range(numbers)]
    columns += [CategoryColumn(name=f"w{place}", values=("a", "b", "c")) for place in range(words)]
    split = Split(
        inputs=np.zeros((rows, numbers + words), np.float32),
        targets=np.arange(rows) % 2,
        items=("",) * rows,
    )
    return Dataset(
        goal="classification",
        spec=TableSpec(columns=tuple(columns)),
        labels=("no", "yes"),
        train=split,
        validation=split,
        test=split,
        record=DataRecord(name="rows", sha256="", counts={}, split_method="", seed=0),
    )


@pytest.mark.parametrize("rows", [2, 9, 1000, 50_000])
def test_trees_teach_networks_that_learn_labels_too(machine: Machine, rows: int) -> None:
    plan = plan_fit(dataset(rows), Budget(), machine, 3, timed=False)
    assert isinstance(plan.teacher.network, TreesConfig)
    assert plan.teacher.network.folds <= max(2, rows)
    assert plan.teacher.training.threads == 1
    assert [student.network.widths for student in plan.students] == [(256, 256), (128, 128)]
    assert all(0 < student.training.label_share < 1 for student in plan.students)
    assert plan.seed == 3


def test_few_rows_are_gone_through_more_often_and_a_time_limit_ends_long_runs(
    machine: Machine,
) -> None:
    def epochs(rows: int, *, timed: bool = False) -> float:
        plan = plan_fit(dataset(rows), Budget(), machine, 0, timed=timed)
        return plan.students[0].training.epochs

    assert epochs(500) > epochs(5_000) > epochs(500_000)
    assert epochs(50_000, timed=True) > epochs(50_000)


def test_the_size_limit_bounds_the_students() -> None:
    data = dataset(100)
    widths = {
        limit: student_networks(data, Budget.parse(f"size<={limit}KB"))[0].widths[-1]
        for limit in (1000, 100, 40, 5)
    }
    assert widths == {1000: 256, 100: 128, 40: 64, 5: 32}


@pytest.mark.parametrize(("numbers", "words"), [(5_000, 0), (0, 3_000), (300, 300)])
def test_many_columns_get_few_features_each(numbers: int, words: int) -> None:
    data = dataset(10, numbers, words)
    network = student_networks(data, Budget())[0]
    features = numbers * network.number_width + words * network.category_width
    assert features <= 12_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        TabularConfig(),
        TabularConfig(embedding="periodic"),
        TabularConfig(widths=(64, 64), members=4),
    ],
)
def test_the_estimate_of_the_size_is_near_the_size(config: TabularConfig) -> None:
    spec = table_of(dataset(10))
    network = Tabular(config, spec, 2)
    rows = np.random.default_rng(0).random((64, 14), np.float32)
    network.learn_scaling(torch.from_numpy(rows))
    program = quantize_onnx(export(network.eval(), spec.tensor()), rows)
    assert estimated_int8_bytes(config, spec, 2) == pytest.approx(len(program), rel=0.2)


def test_f1_makes_classes_count_alike_in_networks_and_not_in_trees(machine: Machine) -> None:
    plan = plan_fit(dataset(100), Budget.parse("f1>=80%"), machine, 0, timed=False)
    assert not plan.teacher.training.balance
    assert all(student.training.balance for student in plan.students)


def test_other_data_is_not_planned_as_a_table() -> None:
    data = dataset(10)
    pictures = Dataset(
        goal="classification",
        spec=ImageSpec(height=8, width=8, channels=1),
        labels=data.labels,
        train=data.train,
        validation=data.validation,
        test=data.test,
        record=data.record,
    )
    with pytest.raises(TypeError, match="image-classification is not about a table"):
        table_of(pictures)
