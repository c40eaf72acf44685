import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.compression.prune import PruneRecipe
from diptych.core.errors import ConfigError
from diptych.core.progress import Step
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.building import build
from diptych.fitting.fit import fit
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.pruning import train_pruned
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.train import train
from diptych.fitting.trainee import Trainee, network_of, train_model
from diptych.targets import Choice
from diptych.targets.lower import lower_all
from diptych.training.control import RunControl
from diptych.training.models import PrunedConfig, ResidualNetConfig
from diptych.training.models.given import GivenConfig, GivenNetwork
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]
WHOLE = ResidualNetConfig(stem=16, widths=(32,), blocks=(1,))
PRUNE = PruneRecipe(share=0.5)


def plan(name: str = "smaller", **settings: Any) -> ModelPlan:
    training = TrainingRecipe(epochs=2.0, batch_size=20)
    return ModelPlan(name=name, network=WHOLE, training=training, **settings)


def control(name: str = "smaller", **settings: Any) -> RunControl:
    return RunControl(name=name, **settings)


def teacher_of(dataset: Dataset) -> Trainee:
    return train_model(plan("teacher"), dataset, control("teacher"))


@pytest.mark.parametrize("goal", ["classification", "multi-label", "regression"])
def test_a_pruned_model_is_built_again_from_its_plan(make_dataset: MakeDataset, goal: Any) -> None:
    data = make_dataset(classes=3, goal=goal)
    teacher = teacher_of(data)
    pruned = train_pruned(plan(prune=PRUNE), data, control(), teacher, teacher)
    assert pruned is not None
    rebuilt = build(pruned.plan, data, 7).eval()
    rebuilt.load_state_dict(network_of(pruned).state_dict())
    inputs = torch.from_numpy(data.test.inputs)
    with torch.no_grad():
        assert torch.equal(rebuilt(inputs), network_of(pruned)(inputs))
    assert isinstance(pruned.plan.network, PrunedConfig)
    assert pruned.plan.network.network == WHOLE
    assert all(not name.startswith("network.") for name in pruned.plan.network.widths)


def test_what_was_pruned_once_can_be_pruned_again(make_dataset: MakeDataset) -> None:
    data = make_dataset()
    teacher = teacher_of(data)
    once = train_pruned(
        plan("once", prune=PruneRecipe(share=0.3)), data, control(), teacher, teacher
    )
    assert once is not None
    twice = train_pruned(plan("twice", prune=PRUNE), data, control(), teacher, once)
    assert twice is not None
    assert twice.parameters < once.parameters < teacher.parameters
    build(twice.plan, data, 0).load_state_dict(network_of(twice).state_dict())


def test_the_work_of_all_steps_is_counted_and_their_curves_joined(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(items=40)
    teacher = teacher_of(data)
    gradual = PruneRecipe(share=0.5, steps=2, epochs=1.0)
    pruned = train_pruned(plan(prune=gradual), data, control(), teacher, teacher)
    assert pruned is not None
    assert pruned.samples == (1 + 2) * 40
    least = pruned.samples * (3 * pruned.flops + teacher.flops)
    assert least < pruned.training_flops < pruned.samples * 4 * teacher.flops
    assert [point.epoch for point in pruned.curve] == [1, 2, 3]
    assert {point.model for point in pruned.curve} == {"smaller"}
    assert [p.seconds for p in pruned.curve] == sorted(p.seconds for p in pruned.curve)
    assert pruned.parameters == sum(p.numel() for p in network_of(pruned).parameters())


def test_where_nothing_can_be_removed_there_is_no_model_and_people_are_told(
    make_dataset: MakeDataset,
) -> None:
    data, told = make_dataset(), list[Step]()
    teacher = teacher_of(data)
    tiny = plan(prune=PruneRecipe(share=0.01))
    assert train_pruned(tiny, data, control(report=told.append), teacher, teacher) is None
    assert any("teacher is not pruned: a share of 0.01" in step.note for step in told)


def test_a_plan_without_pruning_is_refused(make_dataset: MakeDataset) -> None:
    data = make_dataset()
    teacher = teacher_of(data)
    with pytest.raises(ConfigError, match="not to be pruned"):
        train_pruned(plan(), data, control(), teacher, teacher)


def test_the_plan_that_was_followed_gives_the_same_weights(make_dataset: MakeDataset) -> None:
    data = make_dataset()
    teacher = teacher_of(data)
    gradual = plan(prune=PruneRecipe(share=0.5, steps=2))
    first = train_pruned(gradual, data, control(), teacher, teacher)
    assert first is not None
    again = train_pruned(first.plan, data, control(), teacher, teacher)
    assert again is not None
    assert again.plan == first.plan
    weights = network_of(first).state_dict()
    assert all(torch.equal(weights[k], v) for k, v in network_of(again).state_dict().items())


@pytest.mark.slow
def test_the_programs_of_a_pruned_model_are_smaller(make_dataset: MakeDataset) -> None:
    data = make_dataset(items=64)
    teacher = teacher_of(data)
    pruned = train_pruned(plan(prune=PRUNE), data, control(), teacher, teacher)
    assert pruned is not None
    choices: list[Choice] = [("onnxruntime", "fp32"), ("onnxruntime", "int8")]
    whole, smaller = (
        [
            len(program.contents[f"model-onnxruntime-{program.precision}.onnx"])
            for program in lower_all(
                network_of(model), data.spec.tensor(), choices, data.train.inputs
            )
        ]
        for model in (teacher, pruned)
    )
    assert smaller[0] < 0.4 * whole[0]
    assert smaller[1] < 0.8 * whole[1]


@pytest.fixture
def recipe() -> FitRecipe:
    training = TrainingRecipe(epochs=2.0, batch_size=64)
    teacher = ModelPlan(name="big", network=WHOLE, training=training)
    student = replace(teacher, name="smaller", prune=PRUNE)
    nothing = replace(teacher, name="same", prune=PruneRecipe(share=0.01))
    again = replace(student, name="smallest", prune=PruneRecipe(share=0.75), source="smaller")
    portable = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)
    return FitRecipe(teacher=teacher, students=(nothing, student, again), programs=portable)


@pytest.mark.slow
def test_a_fit_prunes_as_its_recipe_says_and_its_bundle_can_be_trained_on(
    recipe: FitRecipe, tmp_path: Path
) -> None:
    told = list[Step]()
    data = read("digits", Options(seed=0))
    settings = Settings(recipe=recipe, report=told.append)
    with fit(data, "size<=1KB", out=tmp_path / "a.dip", settings=settings) as bundle:
        manifest = bundle.manifest
    written = read_recipe(tmp_path / "a.dip")
    assert [each.name for each in written.students] == ["smaller", "smallest"]
    assert manifest.architecture["name"] == "pruned"
    sizes = {row.model: (row.size_bytes, row.parameters) for row in manifest.candidates}
    assert sizes["smallest"] < sizes["smaller"] < sizes["big"]
    assert any("big is not pruned" in step.note for step in told)
    started = list[Step]()
    onward = Settings(start=tmp_path / "a.dip", report=started.append)
    with train(data, out=tmp_path / "b.dip", time_limit=2.0, settings=onward) as trained:
        assert trained.manifest.architecture == manifest.architecture
    (note,) = {step.note for step in started if step.stage == "start"}
    taken, of = (int(word) for word in note.split()[:3:2])
    assert taken == of


class Aided(nn.Module):
    """Has a second head that is there in training alone: of what came in, or of what is pruned."""

    def __init__(self, *, late: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 16, 3)
        self.head, self.late = nn.Linear(16, 2), late
        self.beside = nn.Linear(16 if late else 1, 2)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        inner = torch.relu(self.first(x.permute(0, 3, 1, 2).float() / 255))
        scores = self.head(torch.relu(self.second(inner)).mean((2, 3)))
        if not self.training:
            return scores
        return scores, self.beside(inner.mean((2, 3)) if self.late else x.float().mean((1, 2)))


@pytest.mark.parametrize("late", [False, True])
def test_a_module_with_a_head_for_training_is_pruned_or_that_is_left_out(
    make_dataset: MakeDataset, late: bool
) -> None:
    data, told = make_dataset(), list[Step]()
    config = GivenConfig(source="net.py:make", sha256="0" * 64)
    network = GivenNetwork(Aided(late=late), config).eval()
    trained = teacher_of(data)
    given = dataclasses.replace(
        trained, plan=replace(trained.plan, network=config), network=network
    )
    run = control(report=told.append)
    pruned = train_pruned(replace(plan(prune=PRUNE), network=config), data, run, given, given)
    assert (pruned is None) == late
    assert any("is not pruned: net.py:make raises RuntimeError" in s.note for s in told) == late
