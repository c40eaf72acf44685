from collections.abc import Callable, Sequence
from dataclasses import replace as changed
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from diptych.core.errors import TrainingError
from diptych.core.progress import Step, silent
from diptych.core.values import CurvePoint, Dataset, Energy, Estimate
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.contest import (
    LEAST_SHARE,
    MOST,
    Capacity,
    Contest,
    capacities,
    rivals,
    settled,
)
from diptych.fitting.fit import fit
from diptych.fitting.job import Job
from diptych.fitting.probing import ProgramCost, choose_students
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.session import FitSession
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import Trainee
from diptych.inference.bundle import Bundle
from diptych.measure.machine import describe
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

MakeDataset = Callable[..., Dataset]
NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
TRAINING = TrainingRecipe(
    epochs=9, batch_size=64, variation=PictureVariation(translate=1, cutout=2)
)
PORTABLE = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)


def plan(name: str) -> ModelPlan:
    return ModelPlan(name=name, network=NETWORK, training=TRAINING)


def sized(*sizes: tuple[int, int]) -> tuple[list[ModelPlan], Callable[[ModelPlan], Capacity]]:
    """Make plans of so many FLOPs and weights, the costliest first, and what measures them."""
    ordered = sorted(sizes, reverse=True)
    plans = [plan(f"student-{place}") for place in range(len(ordered))]
    known = {p.name: Capacity(*size) for p, size in zip(plans, ordered, strict=True)}
    return plans, lambda plan: known[plan.name]


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=9))
def test_rivals_are_those_near_that_nobody_costlier_has_as_many_weights_as(
    sizes: list[tuple[int, int]],
) -> None:
    plans, measure = sized(*sizes)
    capacity = [measure(p) for p in plans]
    expected = [
        p
        for place, p in enumerate(plans)
        if capacity[place].flops >= LEAST_SHARE * capacity[0].flops
        and all(capacity[place].parameters > other.parameters for other in capacity[:place])
    ]
    assert list(rivals(plans, measure)) == expected[:MOST]
    assert rivals(rivals(plans, measure), measure) == rivals(plans, measure)


def test_networks_are_measured_as_torch_counts_them(make_dataset: MakeDataset) -> None:
    data = make_dataset(height=8, width=8)
    measure = capacities(data)
    small = ModelPlan(name="small", network=NETWORK, training=TRAINING)
    halved = replace(small, name="halved", network=replace(NETWORK, downsample=2))
    assert measure(small).parameters == measure(halved).parameters
    assert 3.5 < measure(small).flops / measure(halved).flops < 4.0


class Ring:
    """Trains by a table: each rival's scores, epoch by epoch; it notes who was trained how far.

    Those that are `wild` cannot be trained so far.
    """

    def __init__(self, table: dict[str, Sequence[float | None]]) -> None:
        self.table = table
        self.trained: list[tuple[str, int]] = []
        self.wild: dict[str, int] = {}

    def train(self, plan: ModelPlan, epochs: int) -> Trainee:
        self.trained.append((plan.name, epochs))
        if epochs >= self.wild.get(plan.name, 99):
            raise TrainingError("the loss is nan", "try a lower rate")
        return self.model(plan.name, epochs)

    def model(self, name: str, epochs: int) -> Trainee:
        curve = tuple(
            CurvePoint(model=name, epoch=1 + place, seconds=0.0, loss=0.0, score=score)
            for place, score in enumerate(self.table[name][:epochs])
        )
        return Trainee(plan=plan(name), network=None, curve=curve)


SCORES = {
    "a": [0.5, 0.6, 0.7, 0.75, 0.76, 0.77, 0.78, 0.79, 0.8],
    "b": [0.6, 0.7, 0.8, 0.85, 0.86, 0.87, 0.88, 0.89, 0.9],
    "c": [0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76, 0.77, 0.78],
}


def test_the_two_best_go_on_and_then_the_best() -> None:
    ring, contest = Ring(SCORES), Contest()
    steps: list[Step] = []
    best = contest.hold([plan(n) for n in "abc"], ring.train, lambda: True, steps.append)
    assert best == plan("b")
    assert ring.trained == [("a", 1), ("b", 1), ("c", 1), ("c", 3), ("b", 3)]
    told = [step.note for step in steps]
    assert told[0] == "a: 50.0 % after 1 of 9 epochs"
    assert told[-1] == "b: 80.0 % after 3 of 9 epochs"


@pytest.mark.parametrize(
    ("wild", "best"),
    [
        ({"a": 1}, "b"),
        ({"c": 1}, "b"),
        ({"b": 1}, "c"),
        ({"b": 3}, "c"),
        ({"b": 3, "c": 3}, "a"),
        ({"a": 1, "b": 1}, "c"),
    ],
)
def test_a_rival_that_cannot_be_trained_is_left_out(wild: dict[str, int], best: str) -> None:
    ring, contest, steps = Ring(SCORES), Contest(), list[Step]()
    ring.wild = wild
    found = contest.hold([plan(n) for n in "abc"], ring.train, lambda: True, steps.append)
    assert found == plan(best)
    told = {step.stage for step in steps if step.note == "left out: the loss is nan"}
    assert told == set(wild)
    assert set(contest.paused) == set("abc") - {name for name, epoch in wild.items() if epoch == 1}
    assert contest.failed == set(wild)


def test_rivals_none_of_which_can_be_trained_are_no_contest() -> None:
    ring, contest = Ring(SCORES), Contest()
    ring.wild = dict.fromkeys("abc", 1)
    with pytest.raises(TrainingError, match="nan"):
        contest.hold([plan(n) for n in "abc"], ring.train, lambda: True, silent)
    assert contest.failed == set("abc")


def test_whoever_went_further_before_is_judged_by_the_same_epochs() -> None:
    ring, contest = Ring(SCORES | {"a": [0.65, 0.1, 0.9]}), Contest()
    best = contest.hold(
        [plan("a"), plan("b")], lambda p, epochs: ring.train(p, 9), lambda: True, silent
    )
    assert best == plan("a")


@pytest.mark.parametrize("alike", [{"a": [0.6] * 9, "b": [0.6] * 9}, {"a": [None], "b": [0.9]}])
def test_of_those_that_are_alike_or_have_no_score_the_first_goes_on(
    alike: dict[str, Sequence[float | None]],
) -> None:
    plans = [plan("a"), plan("b")]
    assert Contest().hold(plans, Ring(alike).train, lambda: True, silent) == plans[0]


def test_without_time_the_first_goes_on_untried() -> None:
    contest = Contest()
    plans = [plan("a"), plan("b")]
    assert contest.hold(plans, Ring(SCORES).train, lambda: False, silent) == plans[0]
    assert contest.paused == {}


def test_who_was_beaten_is_told_with_what_was_expected_beside_the_best() -> None:
    ring, contest = Ring(SCORES), Contest()
    contest.hold([plan(n) for n in "abc"], ring.train, lambda: True, silent)
    teacher, best = ring.model("a", 9), ring.model("b", 9)
    teacher = changed(teacher, plan=plan("teacher"))
    left = contest.left([teacher, best], 1000)
    assert list(left) == ["a", "c"]
    model, given_up = left["c"]
    assert given_up is not None
    assert (len(model.curve), given_up.epochs, given_up.planned_epochs) == (3, 3, 9)
    assert given_up.needed == 0.9
    assert given_up.expected.value < 0.9
    early = contest.left([teacher], 1000)
    assert {name: each for name, (_, each) in early.items()} == dict.fromkeys("abc")


def test_cheaper_ones_are_left_by_what_they_compute() -> None:
    plans, measure = sized((100, 10), (90, 5), (80, 20), (70, 30), (60, 8), (10, 1))
    first, beaten, second, best, less, least = plans
    recipe = FitRecipe(
        teacher=plan("teacher"),
        students=(first, second, best),
        most_students=1,
        cheaper=(beaten, less, least),
    )
    found = settled(recipe, best, measure)
    assert found.students == (best,)
    assert found.cheaper == (less, least)
    assert found.most_students == 0
    assert settled(recipe, second, measure).cheaper == (best, less, least)


def test_whoever_failed_in_the_contest_is_not_tried_again_below_its_winner() -> None:
    plans, measure = sized((100, 10), (80, 20), (70, 30), (60, 8))
    first, failed, less, least = plans
    recipe = FitRecipe(
        teacher=plan("teacher"), students=(first, failed, less), most_students=1, cheaper=(least,)
    )
    found = settled(recipe, first, measure, {failed.name})
    assert found.students == (first,)
    assert found.cheaper == (less, least)


def cost(size_bytes: int) -> ProgramCost:
    latency = Estimate(value=1.0, low=1.0, high=1.0, n=9, method="made up")
    energy = Energy(value_j=1.0, low_j=1.0, high_j=1.0, label="modelled", method="made up")
    return ProgramCost(
        runtime="onnxruntime",
        precision="int8",
        p50_ms=latency,
        p99_ms=latency,
        size_bytes=size_bytes,
        energy=energy,
        cost_usd_per_million=1.0,
    )


def test_rivals_that_cannot_keep_the_budget_stay_out_and_choosing_again_changes_nothing() -> None:
    plans, measure = sized((100, 10), (90, 5), (80, 20), (70, 30), (60, 8))
    large = plans[3].name

    def probe(plan: ModelPlan) -> Sequence[ProgramCost]:
        return [cost(2000 if plan.name == large else 1000)]

    recipe = FitRecipe(teacher=plan("teacher"), students=tuple(plans), most_students=1)
    given = (Budget.parse("size<=1500B"), probe, lambda: True)
    chosen = choose_students(recipe, *given, measure)
    assert chosen.students == (plans[0], plans[2])
    assert chosen.most_students == 1
    assert chosen.cheaper == (plans[1], plans[3], plans[4])
    assert choose_students(chosen, *given, measure) == chosen
    assert choose_students(recipe, *given).students == (plans[0],)
    free = (Budget.parse("drop<=1%"), probe, lambda: True)
    assert choose_students(recipe, *free, measure).students == (plans[0],)


def test_there_is_no_contest_of_students_that_are_all_to_be_trained(tmp_path: Path) -> None:
    dataset = read("digits", Options(seed=0))
    job = Job(dataset=dataset, budget=Budget(), machine=describe(), destination=tmp_path / "a.dip")
    for count, most in ((1, 1), (2, 2), (2, 0)):
        students = tuple(plan(f"student-{place}") for place in range(count))
        recipe = FitRecipe(teacher=plan("teacher"), students=students, most_students=most)
        session = FitSession(job, recipe, None, Settings())
        session.choose_students()
        session.hold_contest()
        assert session.recipe.students == students
        assert session.contest.paused == {}


@pytest.mark.slow
def test_the_best_of_a_contest_is_the_student_that_a_fit_of_it_alone_would_train(
    tmp_path: Path,
) -> None:
    flat = ModelPlan(
        name="flat",
        network=ResidualNetConfig(stem=8, widths=(8, 8), blocks=(0, 0)),
        training=TRAINING,
    )
    wide = replace(
        flat,
        name="wide",
        network=ResidualNetConfig(stem=16, widths=(32,), blocks=(0,), downsample=2),
    )
    recipe = FitRecipe(
        teacher=replace(flat, name="teacher"),
        students=(flat, wide),
        most_students=1,
        programs=PORTABLE,
    )
    told: list[Step] = []

    def run(recipe: FitRecipe, name: str) -> Bundle:
        settings = Settings(recipe=recipe, report=told.append)
        return fit("digits", "size<=500KB", out=tmp_path / name, settings=settings)

    found = run(recipe, "contest.dip")
    assert sum(step.stage == "contest" for step in told) == 4
    (best,) = read_recipe(found.path).students
    assert [each.model for each in found.manifest.given_up] == [
        "flat" if best.name == "wide" else "wide"
    ]
    alone = run(replace(recipe, students=(best,)), "alone.dip")
    weights = [(each.path / "weights.safetensors").read_bytes() for each in (found, alone)]
    assert weights[0] == weights[1]
    assert found.manifest.training.samples > alone.manifest.training.samples
