"""Training as on a graphics processor, pretended: nothing of it may lie on the wrong device.

One of the machine is used where there is one, by the tests that are marked so elsewhere.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from msgspec.structs import replace as changed
from pretended_gpu import CPU, GPU, Places, pretended_gpu
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from diptych.compression import quantize
from diptych.compression.prune import PruneRecipe
from diptych.core.errors import TrainingError
from diptych.core.values import Dataset, Goal, Split
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.plans import plan_fit
from diptych.fitting.pruning import train_pruned
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.refining import train_in_8_bits
from diptych.fitting.trainee import Trainee, train_model
from diptych.measure.machine import describe
from diptych.training.compute import device_of
from diptych.training.control import RunControl
from diptych.training.models import (
    ConformerConfig,
    ResidualNetConfig,
    TextConvolutionConfig,
    TransformerConfig,
    WhitenedNetConfig,
)
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.team import Team
from diptych.training.trees import TreesConfig
from diptych.training.variation import PictureVariation

MakeDataset = Callable[..., Dataset]
SHAPE = ResidualNetConfig(stem=16, widths=(16, 32), blocks=(1, 0))
VARIATION = PictureVariation(translate=1, cutout=2, flip=True)
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {},
    "adamw and an average": {"optimizer": "adamw", "averaging": 0.9},
    "muon": {"optimizer": "muon", "fixed_norms": True},
    "schedule-free": {"optimizer": "schedule-free"},
    "fp16": {"arithmetic": "fp16", "clip": 1.0},
    "bf16": {"arithmetic": "bf16", "channels_last": True},
    "mixup and accumulation": {"mixup": 0.4, "accumulation": 2},
    "cutmix": {"cutmix": 1.0, "balance": True},
    "a rate that is looked for": {"learning_rate": None},
    "a frozen body": {"freeze_share": 0.3, "layer_decay": 0.8},
}
ROUNDED = {"muon", "fp16", "bf16"}
"""Those that compute otherwise on a processor."""
LESSONS: dict[str, dict[str, Any]] = {
    "as they come": {},
    "again and again": {"views": 1},
    "mixed": {"mixup": 0.3},
    "clean": {"variation": None},
    "what is alike": {"similarity": 1.0},
    "features": {"features": 1.0},
    "labels too": {"label_share": 0.3},
}


def plan(network: Any = SHAPE, name: str = "small", **training: Any) -> ModelPlan:
    common = {"batch_size": 20, "epochs": 2.0, "learning_rate": 0.01, "variation": VARIATION}
    return ModelPlan(name=name, network=network, training=TrainingRecipe(**common | training))


def on_gpu(**control: Any) -> RunControl:
    return RunControl(device=GPU, gpu_meter=lambda device, team: None, **control)


@pytest.fixture(params=["beside the network", "in memory"])
def gpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Places]:
    """Pretend a GPU on which the data fits, and one on which it does not."""
    free_bytes = 1 << 30 if request.param == "beside the network" else 1
    with pretended_gpu(monkeypatch, free_bytes) as places:
        yield places


@pytest.fixture
def large_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    with pretended_gpu(monkeypatch) as places:
        yield places


def cut(data: Dataset, items: int = 64) -> Dataset:
    def first(split: Split) -> Split:
        given = {field.name: getattr(split, field.name) for field in fields(split)}
        return replace(split, **{k: v[:items] for k, v in given.items() if v is not None})

    splits = {name: first(getattr(data, name)) for name in ("train", "validation", "test")}
    return replace(data, **splits)


def test_the_pretended_gpu_refuses_what_a_real_one_does(large_gpu: Places) -> None:
    there, here = torch.ones(3).to("cuda"), torch.ones(3)
    assert [there.device, (2 * there[1:]).sum().device, there.cpu().device] == [GPU, GPU, CPU]
    assert (there * torch.tensor(2.0) + there[torch.tensor([0])]).device == GPU
    layer = torch.nn.Linear(3, 2).to("cuda")
    layer(there).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.device == GPU
    for refused in (
        lambda: there + here,
        lambda: here * there.sum(),
        lambda: layer(here),
        lambda: here[torch.tensor([0]).to("cuda")],
        lambda: torch.randn(3, device="cuda", generator=torch.Generator()),
        there.numpy,
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"device|generator"):
            refused()


@pytest.mark.parametrize("name", RECIPES)
def test_a_network_is_trained_there_and_comes_back(
    make_dataset: MakeDataset, gpu: Places, tmp_path: Path, name: str
) -> None:
    data, asked = make_dataset(), plan(**RECIPES[name])
    with closing(RunFolder(tmp_path, print)) as folder:
        model = train_model(asked, data, on_gpu(folder=folder, checkpoint_s=0.0))
    assert model.network is not None
    assert {weight.device for weight in model.network.state_dict().values()} == {CPU}
    outputs = model.outputs(data, "test")
    assert np.isfinite(outputs).all()
    if name not in ROUNDED:
        alone = train_model(asked, data, RunControl())
        np.testing.assert_allclose(outputs, alone.outputs(data, "test"), rtol=1e-4, atol=1e-4)


class Spread(Team):
    """One that brings a network to the GPU itself, as that which shares its weights does."""

    is_sharded = True

    def __init__(self) -> None:
        self.found: list[torch.device] = []

    def wrapped(self, network: nn.Module) -> nn.Module:
        self.found.append(device_of(network))
        return network.to(GPU)


def test_a_network_whose_weights_a_team_shares_is_brought_there_by_the_team(
    make_dataset: MakeDataset, large_gpu: Places
) -> None:
    data, team = make_dataset(), Spread()
    model = train_model(plan(), data, on_gpu(team=team))
    assert team.found == [CPU]
    assert np.isfinite(model.outputs(data, "test")).all()


def test_a_run_goes_on_from_a_checkpoint(
    make_dataset: MakeDataset, gpu: Places, tmp_path: Path
) -> None:
    data, asked = make_dataset(), plan(optimizer="muon", averaging=0.9)
    whole = train_model(asked, data, on_gpu())
    with closing(RunFolder(tmp_path, print)) as folder:
        train_model(asked, data, on_gpu(folder=folder, pause_after=1))
        resumed = train_model(asked, data, on_gpu(folder=folder))
    np.testing.assert_array_equal(whole.outputs(data, "test"), resumed.outputs(data, "test"))


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.parametrize("mirrored", [True, False])
def test_a_student_learns_there(
    make_dataset: MakeDataset, gpu: Places, name: str, mirrored: bool
) -> None:
    data, shape = make_dataset(), changed(SHAPE, mirrored=mirrored)
    teacher = train_model(plan(shape, "teacher"), data, on_gpu(name="teacher"))
    asked = plan(shape, **LESSONS[name])
    student, alone = (train_model(asked, data, c, teacher) for c in (on_gpu(), RunControl()))
    outputs = student.outputs(data, "test")
    np.testing.assert_allclose(outputs, alone.outputs(data, "test"), rtol=1e-4, atol=1e-4)


def test_the_teacher_comes_back_from_a_student_that_diverges(
    make_dataset: MakeDataset, large_gpu: Places
) -> None:
    data = make_dataset()
    teacher = train_model(plan(name="teacher"), data, on_gpu(name="teacher"))
    with pytest.raises(TrainingError):
        train_model(plan(learning_rate=1e30, epochs=9.0), data, on_gpu(), teacher)
    assert {weight.device for weight in teacher.voice().state_dict().values()} == {CPU}


@pytest.mark.parametrize("goal", get_args(Goal))
def test_each_goal_is_learned_there(make_dataset: MakeDataset, gpu: Places, goal: Goal) -> None:
    data = make_dataset(goal=goal)
    teacher = train_model(plan(name="teacher"), data, on_gpu(name="teacher"))
    student = train_model(plan(similarity=1.0), data, on_gpu(), teacher)
    assert np.isfinite(student.outputs(data, "test")).all()


@pytest.mark.parametrize("importance", ["taylor", "scale"])
def test_a_network_is_pruned_there(
    make_dataset: MakeDataset, large_gpu: Places, importance: Any
) -> None:
    data = make_dataset()
    whole = train_model(plan(), data, on_gpu())
    halved = PruneRecipe(share=0.5, importance=importance, multiple=8)
    pruned = train_pruned(changed(plan(), prune=halved), data, on_gpu(), whole, whole)
    assert pruned is not None
    assert pruned.parameters < whole.parameters


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("spoken-digits", [ConformerConfig()]),
        ("trec", [TransformerConfig(), TextConvolutionConfig()]),
        ("adult", []),
        ("fashion-mnist", [WhitenedNetConfig(widths=(16, 16, 16))]),
    ],
)
def test_each_kind_of_data_is_learned_there_and_in_8_bits(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, name: str, others: list[Any]
) -> None:
    options = Options(seed=0, target="income" if name == "adult" else None)
    whole = read(shared_data / name, options)
    recipe, data = plan_fit(whole, Budget(), describe(), 0, timed=False), cut(whole)
    plans = [recipe.teacher, *recipe.students[:2]]
    plans += [changed(plans[-1], name=f"other-{n}", network=o) for n, o in enumerate(others)]
    plans = [each for each in plans if not isinstance(each.network, TreesConfig)]
    teacher: Trainee | None = None
    followed = quantize.capture

    def capture(*given: Any, **named: Any) -> Any:
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            return followed(*given, **named)

    monkeypatch.setattr(quantize, "capture", capture)  # done before the network is moved
    with pretended_gpu(monkeypatch):
        for each in plans:
            training = changed(
                each.training, epochs=1.0, batch_size=32, learning_rate=0.01, compiled=False
            )
            short = changed(each, training=training, prune=None)
            model = train_model(short, data, on_gpu(name=each.name), teacher)
            assert np.isfinite(model.outputs(data, "test")).all()
            teacher = teacher or model
        try:
            train_in_8_bits(model, teacher, data, data.train.inputs[:32], on_gpu(name="int8"))
        except TrainingError as error:
            pytest.fail(str(error))
