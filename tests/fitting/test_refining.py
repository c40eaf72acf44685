from types import SimpleNamespace

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from diptych.compression.quantize import QuantizedNetwork
from diptych.core.errors import TrainingError
from diptych.fitting.allowance import Allowance
from diptych.fitting.budget import Budget
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.refining import Refining, refine, train_in_8_bits
from diptych.fitting.trainee import Trainee, train_model
from diptych.training.control import RunControl
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

PLAN = ModelPlan(
    name="student",
    network=ResidualNetConfig(stem=8, widths=(8,), blocks=(0,)),
    training=TrainingRecipe(epochs=4, batch_size=16),
)
INT8 = [
    ProgramPlan(runtime="onnxruntime", precision="int8", method=method)
    for method in ("guarded", "trained")
]


@pytest.fixture(scope="module")
def dataset(make_dataset):
    return make_dataset(items=128)


@pytest.fixture(scope="module")
def model(dataset) -> Trainee:
    return train_model(PLAN, dataset, RunControl(name="student"))


def refining(dataset, programs=INT8, **control: object) -> Refining:
    targets = dataset.validation.targets
    return Refining(
        programs=programs,
        allowance=Allowance(
            budget=Budget.parse("drop<=1%"),
            dataset=dataset,
            teacher_outputs=np.eye(2, dtype=np.float32)[targets],
        ),
        calibration=dataset.train.inputs[:32],
        control=RunControl(name="student int8", **control),
    )


def trials(dataset, rounded: np.ndarray) -> list[SimpleNamespace]:
    right = np.eye(2, dtype=np.float32)[dataset.validation.targets]
    return [
        SimpleNamespace(
            program=SimpleNamespace(precision=precision), outputs=outputs, size_bytes=100
        )
        for precision, outputs in (("fp32", right), ("int8", rounded))
    ]


@pytest.mark.slow
def test_where_8_bits_lose_nothing_nothing_is_done_unless_the_recipe_says_so(
    dataset, model
) -> None:
    right = np.eye(2, dtype=np.float32)[dataset.validation.targets]
    assert refine(model, None, trials(dataset, right), refining(dataset)).trials == ()
    asked = TrainingRecipe(epochs=1, batch_size=16, optimizer="adamw", learning_rate=1e-3)
    asking = Trainee(**{**vars(model), "plan": replace(PLAN, quantized=asked)})
    done = refine(asking, None, trials(dataset, right), refining(dataset))
    assert [trial.name for trial in done.trials] == ["student onnxruntime int8 (trained)"]
    assert done.trainees[0].plan.quantized == asked


@pytest.mark.slow
def test_what_was_lost_is_saved_in_both_ways(dataset, model) -> None:
    wrong = np.eye(2, dtype=np.float32)[1 - dataset.validation.targets]
    done = refine(model, None, trials(dataset, wrong), refining(dataset))
    assert [trial.name for trial in done.trials] == [
        "student onnxruntime int8 (guarded)",
        "student onnxruntime int8 (trained)",
    ]
    guarded, trained = done.trials
    assert guarded.model is model
    assert guarded.program.in_float == ()  # really quantized, nothing is lost here
    assert done.trainees == (trained.model,)
    assert [list(trial.program.contents) for trial in done.trials] == [
        ["student-onnxruntime-int8-guarded.onnx"],
        ["student-onnxruntime-int8-trained.onnx"],
    ]


@pytest.mark.slow
def test_after_its_share_of_the_time_guarding_gives_up(dataset, model) -> None:
    ticking = iter(range(1000))
    wrong = np.eye(2, dtype=np.float32)[1 - dataset.validation.targets]
    late = refining(dataset, INT8[:1], deadline=1.0, clock=lambda: float(next(ticking)))
    assert refine(model, None, trials(dataset, wrong), late).trials == ()


@pytest.mark.slow
def test_a_network_that_torch_cannot_follow_is_left_as_it_is(dataset, model, monkeypatch) -> None:
    class Branching(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            x = pixels.float().mean((1, 2))
            return torch.cat([x, -x], 1) if x.sum() > 0 else torch.cat([-x, x], 1)

    told: list[str] = []
    branching = Trainee(**{**vars(model), "network": Branching().eval()})
    wrong = np.eye(2, dtype=np.float32)[1 - dataset.validation.targets]
    asked = refining(dataset, INT8[1:], report=lambda step: told.append(step.note))
    assert refine(branching, None, trials(dataset, wrong), asked).trials == ()
    assert told[-1].startswith("cannot be trained in 8 bits: torch cannot follow")


@pytest.mark.slow
def test_a_model_trained_on_keeps_its_network_in_float_and_says_what_it_used(
    dataset, model
) -> None:
    before = {name: t.clone() for name, t in model.network.state_dict().items()}
    calibration = dataset.train.inputs[:32]
    control = RunControl(name="student int8")
    refined, network = train_in_8_bits(model, None, dataset, calibration, control)
    assert isinstance(network, QuantizedNetwork)
    assert refined.network is model.network
    assert all(torch.equal(before[n], t) for n, t in model.network.state_dict().items())
    assert refined.samples == 128
    assert refined.training_flops == 4 * model.flops * 128
    assert [point.model for point in refined.curve] == ["student int8"]
    assert refined.plan.quantized is not None
    again, _ = train_in_8_bits(refined, None, dataset, calibration, control)
    assert again.plan == refined.plan


@pytest.mark.slow
def test_what_is_in_reserve_is_tried_where_8_bits_lose_too_much(dataset, model) -> None:
    halves = ProgramPlan(runtime="onnxruntime", precision="fp16", method="reserve")
    wrong = np.eye(2, dtype=np.float32)[1 - dataset.validation.targets]
    done = refine(model, None, trials(dataset, wrong), refining(dataset, [halves]))
    assert [trial.name for trial in done.trials] == ["student onnxruntime fp16"]
    assert done.trainees == ()


def test_a_training_in_8_bits_that_fails_leaves_what_was_found_before(dataset, monkeypatch) -> None:
    class Teacher:
        rested = 0

        def answers(self, *given: object) -> None:
            return None

        def rest(self) -> None:
            self.rested += 1

    def fail(*given: object, **more: object) -> None:
        raise TrainingError("the loss at step 7 is nan", "try a lower rate")

    monkeypatch.setattr("diptych.fitting.refining._try_guarded", lambda *given: ["guarded"])
    monkeypatch.setattr("diptych.fitting.refining.train_quantized", fail)
    told: list[str] = []
    teacher, untrained = Teacher(), Trainee(plan=PLAN, network=torch.nn.Identity())
    wrong = np.eye(2, dtype=np.float32)[1 - dataset.validation.targets]
    asked = refining(dataset, report=lambda step: told.append(step.note))
    done = refine(untrained, teacher, trials(dataset, wrong), asked)
    assert (done.trials, done.trainees) == (("guarded",), ())
    assert told == ["cannot be trained in 8 bits: the loss at step 7 is nan"]
    assert teacher.rested == 1
