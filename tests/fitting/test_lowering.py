from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.core.errors import BundleError, TargetError
from diptych.core.progress import Step, silent
from diptych.core.values import Dataset
from diptych.fitting import lowering, trials
from diptych.fitting.lowering import is_made_elsewhere, lower_and_try
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee, build
from diptych.targets import Choice, lacking
from diptych.targets.lower import LoweredProgram
from diptych.training.models import GivenConfig, NetworkConfig, PrunedConfig, ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

MakeDataset = Callable[..., Dataset]
OURS = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
GIVEN = GivenConfig(source="net.py:make", sha256="0" * 64)
PROGRAMS = [ProgramPlan(runtime="onnxruntime", precision="fp32")]


class Mean(nn.Module):
    def __init__(self, *, odd: bool) -> None:
        super().__init__()
        self.odd, self.head = odd, nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.float().mean((1, 2, 3)).reshape(-1, 1)
        if self.odd:
            mean = mean + torch.linalg.eigvals(torch.eye(2) * mean.mean()).real.sum()
        return self.head(mean)


NETWORK = Mean(odd=False).eval()


def model(config: NetworkConfig, *, odd: bool) -> Trainee:
    plan = ModelPlan(name="made", network=config, training=TrainingRecipe())
    return Trainee(plan=plan, network=Mean(odd=odd).eval())


class Answers:
    """A session that answers as the network does."""

    def run(self, batch: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return NETWORK(torch.from_numpy(batch)).numpy()


def lowered(_: nn.Module, spec: object, choices: list[Choice], **_more: object) -> list:
    """Lower to programs without files."""
    return [
        LoweredProgram(
            name="-".join(choice),
            runtime=choice[0],
            precision=choice[1],
            contents={},
            input=spec,
            output=spec,
        )
        for choice in choices
    ]


def opened(runtime: str, *_: object) -> Answers:
    if runtime == "openvino":
        raise BundleError("OpenVINO cannot load it:\n  no kernel", "make the bundle again")
    return Answers()


def test_a_program_that_a_runtime_refuses_is_left_out_and_it_is_said(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lowering, "lower_all", lowered)
    monkeypatch.setattr(trials, "open_session", opened)
    data, told = make_dataset(), list[Step]()
    refused = ProgramPlan(runtime="openvino", precision="fp32")
    plan = ModelPlan(name="made", network=GIVEN, training=TrainingRecipe())
    given = Trainee(plan=plan, network=NETWORK)
    tried = lower_and_try(given, [*PROGRAMS, refused], data, data.train.inputs, told.append)
    assert [trial.name for trial in tried] == ["made onnxruntime fp32"]
    assert told[-1].note == "left out: openvino fp32: OpenVINO cannot load it: no kernel"
    with pytest.raises(TargetError, match=r"^net\.py:make: OpenVINO cannot load it") as caught:
        lower_and_try(given, [refused], data, data.train.inputs, silent, alone=True)
    assert "bundle" not in caught.value.hint


def test_what_comes_from_elsewhere_is_known() -> None:
    pruned = PrunedConfig(network=GIVEN, widths={})
    assert is_made_elsewhere(model(GIVEN, odd=False).plan)
    assert is_made_elsewhere(model(pruned, odd=False).plan)
    assert not is_made_elsewhere(model(OURS, odd=False).plan)
    assert not is_made_elsewhere(model(PrunedConfig(network=OURS, widths={}), odd=False).plan)


@pytest.mark.slow
@pytest.mark.parametrize("config", [OURS, GIVEN])
def test_what_can_be_lowered_is_tried(config: NetworkConfig, make_dataset: MakeDataset) -> None:
    data = make_dataset()
    trials = lower_and_try(model(config, odd=False), PROGRAMS, data, data.train.inputs, silent)
    assert [trial.name for trial in trials] == ["made onnxruntime fp32"]


@pytest.mark.slow
def test_a_program_that_cannot_be_had_is_left_out_and_it_is_said(make_dataset: MakeDataset) -> None:
    data, told = make_dataset(), list[Step]()
    odd = model(GIVEN, odd=True)
    assert lower_and_try(odd, PROGRAMS, data, data.train.inputs, told.append) == []
    assert told[-1].note.startswith("left out: onnxruntime fp32: the network's operation 'aten.lin")
    with pytest.raises(TargetError, match="in the forward of Mean cannot be lowered"):
        lower_and_try(odd, PROGRAMS, data, data.train.inputs, silent, alone=True)


@pytest.mark.slow
def test_a_network_of_ours_that_cannot_be_lowered_is_a_defect(make_dataset: MakeDataset) -> None:
    data = make_dataset()
    with pytest.raises(TargetError, match=r"aten\.linalg_eig"):
        lower_and_try(model(OURS, odd=True), PROGRAMS, data, data.train.inputs, silent)


@pytest.mark.slow
@pytest.mark.skipif(bool(lacking("litert")), reason="the extra edge-export is absent")
def test_a_planned_second_look_is_one_more_trial(make_dataset: MakeDataset) -> None:
    data = make_dataset()
    mirrors = TrainingRecipe(variation=PictureVariation(flip=True))
    plan = ModelPlan(name="made", network=OURS, training=mirrors)
    network = build(plan, data, 0).eval()
    planned = [ProgramPlan(runtime="litert", precision="fp32", second_look=0.25)]
    trainee = Trainee(plan=plan, network=network)
    trials = lower_and_try(trainee, planned, data, data.train.inputs, silent)
    assert [trial.name for trial in trials] == [
        "made litert fp32",
        "made-else-mirrored litert fp32",
    ]
    assert trials[1].program.second_looks == pytest.approx(0.25, abs=0.1)
    assert trials[0].program.second_looks is None
    (straight,) = lower_and_try(model(OURS, odd=False), planned, data, data.train.inputs, silent)
    assert straight.name == "made litert fp32"
