from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from diptych.core.values import Candidate, Energy, Estimate
from diptych.fitting.budget import Budget
from diptych.fitting.choice import mark_passing
from diptych.fitting.descent import go_down
from diptych.fitting.probing import ProgramCost
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.trainee import Trainee
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeCandidate = Callable[..., Candidate]
TEACHER = ModelPlan(
    name="teacher",
    network=ResidualNetConfig(stem=8, widths=(16,), blocks=(0,)),
    training=TrainingRecipe(epochs=9),
)
BUDGET = Budget.parse("drop<=1%, size<=500B")
SIZES = {"wide": 900, "a": 800, "b": 700, "c": 600, "d": 400, "e": 300}
FIRST, *CHEAPER = (replace(TEACHER, name=name) for name in SIZES)


class Descent:
    """A fit whose students cost what they do, and lose some of their score."""

    def __init__(self, make_candidate: MakeCandidate, drops: dict[str, float]) -> None:
        self.make_candidate, self.drops = make_candidate, drops
        self.recipe = FitRecipe(teacher=TEACHER, students=(FIRST,), cheaper=tuple(CHEAPER))
        self.job = SimpleNamespace(budget=BUDGET)
        self.time = SimpleNamespace(may_probe=lambda: True)
        self.settings = SimpleNamespace(stop=False)
        self.trainer = SimpleNamespace(trainees=[Trainee(plan=TEACHER, network=None)])
        self.candidates: tuple[Candidate, ...] = ()
        self.left = 9
        self.train_student(FIRST)

    def has_time(self, plan: ModelPlan) -> bool:
        return self.left > 0

    def train_student(self, plan: ModelPlan) -> None:
        self.left -= 1
        if plan.name not in self.drops:
            return  # it cannot be trained
        self.trainer.trainees.append(Trainee(plan=plan, network=None))
        drop = self.drops[plan.name]
        one = self.make_candidate(plan.name, size=SIZES[plan.name], drop=drop)
        self.candidates = mark_passing([*self.candidates, one], BUDGET)

    @property
    def trained(self) -> list[str]:
        return [model.name for model in self.trainer.trainees[1:]]


def probing(sizes: dict[str, int]) -> Callable[..., Sequence[ProgramCost]]:
    """Say of each network how large it would be, as far as that is known before."""
    latency = Estimate(value=1.0, low=1.0, high=1.0, n=9, method="made up")
    energy = Energy(value_j=1.0, low_j=1.0, high_j=1.0, label="modelled", method="made up")

    def probe(plan: ModelPlan, network: object = None) -> Sequence[ProgramCost]:
        return [
            ProgramCost(
                runtime="onnxruntime",
                precision="int8",
                p50_ms=latency,
                p99_ms=latency,
                size_bytes=sizes[plan.name],
                energy=energy,
                cost_usd_per_million=1.0,
            )
        ]

    return probe


@pytest.mark.parametrize(
    ("drops", "probed", "trained"),
    [
        # it was thought that they can: one after the other, until one does
        (dict.fromkeys(SIZES, 0.0), dict.fromkeys(SIZES, 1), ["wide", "a", "b", "c", "d"]),
        # the first that can is known before
        (dict.fromkeys(SIZES, 0.0), SIZES, ["wide", "d"]),
        # below one that loses too much all do
        (dict.fromkeys(SIZES, 0.0) | {"b": 0.02}, dict.fromkeys(SIZES, 1), ["wide", "a", "b"]),
        (dict.fromkeys(SIZES, 0.0) | {"wide": 0.02}, SIZES, ["wide"]),
        # one that cannot be trained is passed by
        ({"wide": 0.0, "b": 0.0, "d": 0.0}, dict.fromkeys(SIZES, 1), ["wide", "b", "d"]),
    ],
)
def test_students_below_one_that_only_costs_too_much_are_trained_until_one_does_not(
    make_candidate: MakeCandidate,
    drops: dict[str, float],
    probed: dict[str, int],
    trained: list[str],
) -> None:
    session = Descent(make_candidate, drops)
    go_down(session, probing(probed))
    assert session.trained == trained


def test_without_time_none_is_trained(make_candidate: MakeCandidate) -> None:
    session = Descent(make_candidate, dict.fromkeys(SIZES, 0.0))
    session.left = 2
    go_down(session, probing(dict.fromkeys(SIZES, 1)))
    assert session.trained == ["wide", "a", "b"]
    session = Descent(make_candidate, dict.fromkeys(SIZES, 0.0))
    session.recipe = replace(session.recipe, cheaper=())
    go_down(session, probing({}))
    assert session.trained == ["wide"]
