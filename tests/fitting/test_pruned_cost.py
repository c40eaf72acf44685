from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from torch import nn

from diptych.compression.prune import PruneRecipe
from diptych.core.progress import Step
from diptych.core.values import Dataset, Energy, Estimate
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.fit import fit
from diptych.fitting.probing import ProgramCost
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.pruned_cost import can_pay
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import Trainee, build, train_model
from diptych.training.control import RunControl
from diptych.training.models import PrunedConfig, ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]
WHOLE = ResidualNetConfig(stem=16, widths=(32,), blocks=(1,))
TEACHER = ModelPlan(
    name="teacher", network=WHOLE, training=TrainingRecipe(epochs=1.0, batch_size=20)
)
HALF = replace(TEACHER, name="half", prune=PruneRecipe(share=0.5))
QUARTER = replace(TEACHER, name="quarter", prune=PruneRecipe(share=0.75))


@pytest.fixture(scope="module")
def dataset(make_dataset: MakeDataset) -> Dataset:
    return make_dataset()


@pytest.fixture(scope="module")
def teacher(dataset: Dataset) -> Trainee:
    return train_model(TEACHER, dataset, RunControl(name="teacher"))


class Sizes:
    """A probe by which a network takes a byte for each parameter, and 1 ms."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.asked = dataset, list[ModelPlan]()

    def __call__(self, plan: ModelPlan, network: nn.Module | None = None) -> Sequence[ProgramCost]:
        self.asked.append(plan)
        assert network is not None
        built = build(plan, self.dataset, 0)
        assert sum(p.numel() for p in network.parameters()) == sum(
            p.numel() for p in built.parameters()
        )
        latency = Estimate(value=1.0, low=0.9, high=1.1, n=100, method="made up")
        energy = Energy(value_j=1e-3, low_j=1e-3, high_j=1e-3, label="modelled", method="made up")
        return [
            ProgramCost(
                runtime="onnxruntime",
                precision="int8",
                p50_ms=latency,
                p99_ms=latency,
                size_bytes=sum(p.numel() for p in network.parameters()),
                energy=energy,
                cost_usd_per_million=1.0,
            )
        ]


def job(dataset: Dataset, budget: str) -> SimpleNamespace:
    return SimpleNamespace(dataset=dataset, budget=Budget.parse(budget))


@pytest.mark.parametrize(
    ("budget", "pays"), [("size<=100KB", True), ("size<=1KB", False), ("p99<=1us", False)]
)
def test_what_cannot_keep_the_budget_once_it_is_pruned_is_left_out(
    dataset: Dataset, teacher: Trainee, budget: str, pays: bool
) -> None:
    told, probe = list[Step](), Sizes(dataset)
    recipe = FitRecipe(teacher=TEACHER, students=(HALF, QUARTER))
    control = RunControl(name="half", report=told.append)
    assert can_pay(HALF, recipe, [teacher], job(dataset, budget), probe, control) is pays
    (asked,) = probe.asked
    assert isinstance(asked.network, PrunedConfig)
    assert asked.network.network == WHOLE
    notes = [step.note for step in told]
    assert [note.startswith("not pruned from teacher: none of its") for note in notes] == (
        [] if pays else [True]
    )


@pytest.mark.parametrize(
    ("plan", "students", "budget"),
    [
        (HALF, (HALF,), "size<=1KB"),  # the last
        (HALF, (HALF, replace(QUARTER, source="half")), "size<=1KB"),  # another is made of it
        (HALF, (HALF, QUARTER), "drop<=1%"),  # nothing about costs
    ],
)
def test_nothing_is_probed_where_it_would_change_nothing(
    dataset: Dataset,
    teacher: Trainee,
    plan: ModelPlan,
    students: tuple[ModelPlan, ...],
    budget: str,
) -> None:
    probe, recipe = Sizes(dataset), FitRecipe(teacher=TEACHER, students=students)
    assert can_pay(plan, recipe, [teacher], job(dataset, budget), probe, RunControl(name="half"))
    assert probe.asked == []


def test_without_time_for_a_look_it_is_trained_unseen(dataset: Dataset, teacher: Trainee) -> None:
    probe, recipe = Sizes(dataset), FitRecipe(teacher=TEACHER, students=(HALF, QUARTER))
    limits = job(dataset, "size<=1KB")
    for deadline, pays in ((79.0, True), (81.0, False)):
        control = RunControl(name="half", deadline=deadline, clock=lambda: 0.0)
        assert can_pay(HALF, recipe, [teacher], limits, probe, control) is pays
    assert len(probe.asked) == 1


def test_where_nothing_can_be_removed_pruning_itself_says_so(
    dataset: Dataset, teacher: Trainee
) -> None:
    same = replace(HALF, prune=PruneRecipe(share=0.01))
    probe, recipe = Sizes(dataset), FitRecipe(teacher=TEACHER, students=(same, QUARTER))
    assert can_pay(same, recipe, [teacher], job(dataset, "size<=1KB"), probe, RunControl(name="x"))
    assert probe.asked == []


def test_what_no_runtime_can_have_is_trained_unseen(dataset: Dataset, teacher: Trainee) -> None:
    recipe, limits = FitRecipe(teacher=TEACHER, students=(HALF, QUARTER)), job(dataset, "size<=1KB")
    control = RunControl(name="half")
    assert can_pay(HALF, recipe, [teacher], limits, lambda plan, network=None: [], control)


@pytest.mark.slow
def test_a_fit_does_not_train_what_is_too_large_once_it_is_pruned(tmp_path: Path) -> None:
    portable = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)
    students = (replace(HALF, prune=PruneRecipe(share=0.25)), QUARTER)
    recipe = FitRecipe(teacher=TEACHER, students=students, programs=portable)
    told, data = list[Step](), read("digits", Options(seed=0))
    settings = Settings(recipe=recipe, report=told.append)
    with fit(data, "size<=40KB", out=tmp_path / "a.dip", settings=settings) as bundle:
        sizes = {row.model: row.size_bytes for row in bundle.manifest.candidates}
    assert sizes["quarter"] < 40_000 < sizes["teacher"]
    assert [student.name for student in read_recipe(tmp_path / "a.dip").students] == ["quarter"]
    assert any("can keep size" in step.note for step in told if step.stage == "half")
