from types import SimpleNamespace

import numpy as np
import pytest

from diptych.fitting.allowance import Allowance
from diptych.fitting.budget import Budget
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.reserve import needed, reserve_programs, try_reserve
from diptych.fitting.trainee import Trainee, train_model
from diptych.measure.machine import describe
from diptych.training.control import RunControl
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

HALVES = ProgramPlan(runtime="onnxruntime", precision="fp16", method="reserve")
INT4 = ProgramPlan(runtime="onnxruntime", precision="int4-weights", method="reserve")


@pytest.fixture(scope="module")
def dataset(make_dataset):
    return make_dataset(items=64)


def answers(dataset, wrong: int) -> np.ndarray:
    targets = dataset.validation.targets.copy()
    targets[:wrong] = 1 - targets[:wrong]
    return np.eye(2, dtype=np.float32)[targets]


def allow(dataset, budget: str) -> Allowance:
    return Allowance(
        budget=Budget.parse(budget), dataset=dataset, teacher_outputs=answers(dataset, 0)
    )


def trials(dataset, in_float: int, rounded: int) -> list[SimpleNamespace]:
    """Pretend programs of 400 bytes in fp32 and 100 in int8, with so many wrong answers."""
    return [
        SimpleNamespace(
            program=SimpleNamespace(precision=precision),
            outputs=answers(dataset, wrong),
            size_bytes=size,
        )
        for precision, wrong, size in (("fp32", in_float, 400), ("int8", rounded, 100))
    ]


@pytest.mark.parametrize(
    ("budget", "in_float", "rounded", "wanted"),
    [
        ("drop<=10%", 0, 1, []),
        ("drop<=10%", 0, 9, ["fp16", "int4-weights"]),
        ("drop<=10%", 9, 9, []),
        ("drop<=10%, size<=100B", 0, 1, []),
        ("drop<=10%, size<=100B", 0, 9, ["fp16", "int4-weights"]),
        ("drop<=10%, size<=99B", 0, 1, ["int4-weights"]),
        ("size<=99B", 0, 9, ["int4-weights"]),
        ("p99<=1ms", 0, 9, []),
        ("", 0, 9, []),
    ],
)
def test_it_is_for_where_int8_loses_too_much_and_what_is_smaller_for_where_it_is_too_large(
    dataset, budget: str, in_float: int, rounded: int, wanted: list[str]
) -> None:
    tried, choices = trials(dataset, in_float, rounded), [HALVES.choice, INT4.choice]
    found = needed(allow(dataset, budget), tried, choices)
    assert [precision for _, precision in found] == wanted


def test_bfloat16_is_planned_only_where_the_processor_has_it() -> None:
    pytest.importorskip("openvino")
    machine = describe()
    for flags, has in ((("avx512_bf16",), True), (("amx_bf16",), True), (("avx2",), False)):
        planned = reserve_programs("cpu", type(machine)(**{**_fields(machine), "flags": flags}))
        assert ("bf16" in {plan.precision for plan in planned}) is has
        assert {plan.method for plan in planned} == {"reserve"}
    assert reserve_programs("abacus", machine) == ()


def _fields(machine) -> dict[str, object]:
    return {name: getattr(machine, name) for name in machine.__struct_fields__}


@pytest.fixture(scope="module")
def model(dataset) -> Trainee:
    network = ResidualNetConfig(stem=8, widths=(8,), blocks=(0,))
    plan = ModelPlan(name="s", network=network, training=TrainingRecipe(epochs=1, batch_size=16))
    return train_model(plan, dataset, RunControl(name="s"))


@pytest.mark.slow
def test_it_is_tried_where_it_is_needed_and_rounding_weights_only_where_they_are_many(
    dataset, model
) -> None:
    allowance, control = allow(dataset, "drop<=10%"), RunControl(name="s int8")
    assert try_reserve(model, trials(dataset, 0, 1), (HALVES,), allowance, control) == []
    lost = trials(dataset, 0, 9)
    (found,) = try_reserve(model, lost, (HALVES, INT4), allowance, control)
    assert found.name == "s onnxruntime fp16"
    assert found.outputs.shape == (len(dataset.validation), 2)
    assert try_reserve(model, lost, (), allowance, control) == []


@pytest.mark.slow
def test_after_its_share_of_the_time_no_more_are_tried(dataset, model) -> None:
    ticking = iter((0.0, 0.0, 1.0))
    late = RunControl(name="s int8", deadline=1.0, clock=lambda: next(ticking))
    allowance, lost = allow(dataset, "drop<=10%"), trials(dataset, 0, 9)
    assert len(try_reserve(model, lost, (HALVES, HALVES, HALVES), allowance, late)) == 1


@pytest.mark.slow
def test_what_cannot_be_made_is_left_out_and_told_and_the_others_are_tried(dataset, model) -> None:
    told: list[str] = []
    control = RunControl(name="s int8", report=lambda step: told.append(step.note))
    impossible = ProgramPlan(runtime="openvino", precision="int8", method="reserve")
    allowance, lost = allow(dataset, "drop<=10%"), trials(dataset, 0, 9)
    (found,) = try_reserve(model, lost, (impossible, HALVES), allowance, control)
    assert found.program.precision == "fp16"
    assert told[0] == "openvino int8 is left out: int8 needs calibration items"
