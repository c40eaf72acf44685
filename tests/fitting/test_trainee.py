import copy
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from diptych.core.progress import Step
from diptych.core.specs import ImageSpec, NumberColumn, TableSpec
from diptych.core.values import DataRecord, Dataset, Goal, Split
from diptych.data import read
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee, network_of, train_model
from diptych.tasks.goals import GOALS
from diptych.training.control import RunControl
from diptych.training.feed import Feed
from diptych.training.flops import forward_flops
from diptych.training.models import ResidualNetConfig
from diptych.training.models.ngrams import NgramsConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.recorded import RecordedModel
from diptych.training.team import Team
from diptych.training.trees import TreesConfig
from diptych.training.variation import PictureVariation

MakeDataset = Callable[..., Dataset]
SPEC = ImageSpec(height=8, width=8, channels=1)
SIZES = {"train": 40, "validation": 20, "test": 20}
VARIATION = PictureVariation(translate=1, cutout=2)
CONTROL = RunControl()


def plan(name: str = "small", stages: int = 1, **training: object) -> ModelPlan:
    return ModelPlan(
        name=name,
        network=ResidualNetConfig(stem=8, widths=(8,) * stages, blocks=(0,) * stages),
        training=TrainingRecipe(batch_size=20, variation=VARIATION, **training),  # type: ignore[arg-type]
    )


def test_a_student_learns_from_the_teacher_and_its_work_is_counted(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(items=60)
    control = RunControl(name="teacher", seed=0)
    teacher = train_model(plan("teacher", epochs=8.0), data, control)
    assert teacher.name == "teacher"
    assert teacher.network is not None
    assert teacher.parameters == sum(p.numel() for p in teacher.network.parameters())
    assert teacher.flops == forward_flops(teacher.network, data.spec)
    assert teacher.samples == 8 * 60
    assert teacher.training_flops == 3 * teacher.flops * 8 * 60

    weights = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    wrong = Dataset(
        **{f: getattr(data, f) for f in data.__dataclass_fields__ if f != "train"},
        train=type(data.train)(
            inputs=data.train.inputs, targets=1 - data.train.targets, items=data.train.items
        ),
    )
    student = train_model(plan("student", epochs=20.0), wrong, control, teacher)
    assert student.training_flops == (3 * student.flops + teacher.flops) * 20 * 60
    for name, value in teacher.network.state_dict().items():
        assert torch.equal(value, weights[name]), f"the teacher's {name} was changed"

    said: list[Step] = []
    every = teacher.all_outputs(data, said.append)
    np.testing.assert_array_equal(every["test"], teacher.outputs(data, "test"))
    assert list(every) == ["validation", "test"]
    assert [(step.stage, step.done / step.total) for step in said] == [
        ("teacher answers validation", 1.0),
        ("teacher answers test", 1.0),
    ]
    answers = [m.outputs(data, "test").argmax(1) for m in (teacher, student)]
    assert np.mean(answers[0] == data.test.targets) > 0.9
    assert np.mean(answers[0] == answers[1]) > 0.9, "the student took the labels, not the teacher"


def test_a_teacher_that_remembers_batches_teaches_the_same(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset(items=60)
    teacher = train_model(plan("teacher"), data, RunControl(name="teacher", seed=0))
    students = []
    for room in (1 << 20, 0):
        monkeypatch.setattr("diptych.compression.answers.MOST_BYTES", room)
        control = RunControl(name="student", seed=0)
        students.append(train_model(plan("student", epochs=7.0, views=2), data, control, teacher))
    parameters = [network_of(student).parameters() for student in students]
    for one, other in zip(*parameters, strict=True):
        assert torch.equal(one, other)
    saved = students[1].training_flops - students[0].training_flops
    assert saved == teacher.flops * (7 - 2) * 60


def test_a_teacher_that_mirrors_computes_views_and_their_mirror_images_once(
    make_dataset: MakeDataset,
) -> None:
    data, asked = make_dataset(items=60), []

    def taught(mirrored: bool) -> Trainee:
        network = replace(plan().network, mirrored=mirrored)
        mirroring = replace(plan("teacher"), network=network)
        return train_model(mirroring, data, RunControl(name="teacher", seed=0))

    turning = replace(VARIATION, flip=True)
    recipe = replace(plan("student", epochs=7.0, views=3).training, variation=turning)
    for teacher in (taught(mirrored=False), taught(mirrored=True)):
        counted: list[int] = []
        network = network_of(teacher)
        network.register_forward_hook(lambda _, given, __, c=counted: c.append(len(given[0])))
        answers = teacher.answers(data, recipe)
        feed = Feed(data.train.inputs, recipe, 0, torch.device("cpu"))
        for step in range(7 * feed.steps_per_epoch):
            batch = feed.batch(step)
            answers(batch.inputs, batch.chosen)
        asked.append(sum(counted))
    assert asked == [6 * 60, 3 * 60]


def test_the_plan_of_a_trained_model_is_what_was_really_done(make_dataset: MakeDataset) -> None:
    ticks = iter(range(10_000))
    hurried = RunControl(name="small", seed=0, deadline=60.0, clock=lambda: float(next(ticks)))
    data = make_dataset(items=60)
    model = train_model(plan(epochs=100.0), data, hurried)
    assert model.plan.training.replans
    assert model.samples < 100 * 60
    again = train_model(model.plan, data, RunControl(name="small", seed=0))
    for one, other in zip(model.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("goal", get_args(Goal))
def test_a_teacher_and_its_student_learn_whatever_is_told(
    make_dataset: MakeDataset, goal: Goal
) -> None:
    data = make_dataset(items=120, classes=3, goal=goal)
    settings = {"epochs": 40.0, "optimizer": "adamw", "learning_rate": 0.02, "clip": 1.0}
    control = RunControl(name="teacher", seed=1)
    teacher = train_model(plan("teacher", **settings), data, control)
    student = train_model(plan("student", **settings), data, control, teacher)
    score = GOALS[goal].item_scores
    for model in (teacher, student):
        outputs = model.outputs(data, "test")
        assert outputs.shape == (20, len(data.labels))
        assert score(outputs, data.test.targets).mean() > 0.85, model.name
        validation = score(model.outputs(data, "validation"), data.validation.targets).mean()
        assert model.curve[-1].score == pytest.approx(validation, abs=1e-4)


def test_every_setting_of_a_recipe_together_trains_and_is_done_again_bit_for_bit(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(items=60, classes=3, goal="ordinal")
    settings = {
        "epochs": 10.0,
        "optimizer": "adamw",
        "learning_rate": 0.02,
        "weight_decay": 0.05,
        "clip": 1.0,
        "averaging": 0.9,
        "balance": True,
        "label_share": 0.3,
    }
    teacher = train_model(plan("teacher", **settings), data, RunControl(name="teacher"))
    runs = [
        train_model(plan("student", **settings), data, RunControl(name="student"), teacher)
        for _ in range(2)
    ]
    first, again = (network_of(run).state_dict() for run in runs)
    assert all(torch.equal(first[name], again[name]) for name in first)
    score = np.mean(runs[0].outputs(data, "validation").argmax(1) == data.validation.targets)
    assert runs[0].curve[-1].score == pytest.approx(score)
    assert score > 1 / 3


class Elsewhere(Team):
    """A team after which the weights are in another network, as where each has a share."""

    def restored(self, network: nn.Module) -> nn.Module:
        return copy.deepcopy(network)


def test_what_a_team_gives_back_is_what_does_without_letters(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    rows = [f"reading and writing {n},{'yes' if n % 2 else 'no'}" for n in range(40)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]))
    data = read(tmp_path / "texts.csv")
    bag = ModelPlan(
        name="bag",
        network=NgramsConfig(orders=2, buckets=1_021, letters=5),
        training=TrainingRecipe(batch_size=8, epochs=1.0),
    )
    alone, model = (
        train_model(bag, data, RunControl(name="bag", team=team)) for team in (Team(), Elsewhere())
    )
    assert network_of(model).letters is None
    np.testing.assert_array_equal(model.outputs(data, "test"), alone.outputs(data, "test"))


def test_a_model_of_recorded_answers_has_no_network(make_dataset: MakeDataset) -> None:
    data = make_dataset(items=40)
    answers = {name: np.full((n, 2), k) for k, (name, n) in enumerate(SIZES.items())}
    trees = RecordedModel(seconds=1.0, cpu_seconds=1.0, **answers)
    model = Trainee(
        plan=ModelPlan(name="trees", network=TreesConfig(), training=TrainingRecipe()),
        network=None,
        recorded=trees,
        seconds=1.0,
        cpu_seconds=1.0,
        samples=40,
    )
    assert model.outputs(data, "validation") is answers["validation"]
    assert model.outputs(data, "test") is answers["test"]
    with pytest.raises(TypeError, match="trees is no network"):
        network_of(model)


@pytest.mark.slow
def test_trees_count_classes_alike_where_the_recipe_says_so() -> None:
    random = np.random.default_rng(0)
    splits = {
        name: Split(
            inputs=random.normal(size=(200, 1)).astype(np.float32),
            targets=(np.arange(200) % 10 == 0).astype(np.int64),
            items=("row",) * 200,
        )
        for name in ("train", "validation", "test")
    }
    data = Dataset(
        goal="classification",
        spec=TableSpec(columns=(NumberColumn(name="noise"),)),
        labels=("often", "rare"),
        record=DataRecord(name="made", sha256="", counts={}, split_method="", seed=0),
        **splits,
    )
    config = TreesConfig(trees=1, learning_rate=0.01, folds=2)
    for balance, share in ((False, 0.1), (True, 0.5)):
        training = TrainingRecipe(balance=balance)
        grown = train_model(ModelPlan(name="t", network=config, training=training), data, CONTROL)
        logits = grown.outputs(data, "test").astype(np.float64)
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert np.abs(shares[:, 1] - share).max() < 0.03
