import math
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from diptych.core.values import Candidate, CurvePoint
from diptych.fitting.aim import Aim, aim_of, below, costs_too_much, slack
from diptych.fitting.budget import Budget
from diptych.fitting.choice import mark_passing
from diptych.fitting.forecast import LAG_LEFT
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.trainee import Trainee
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import Replan, TrainingRecipe

MakeCandidate = Callable[..., Candidate]
ITEMS = 1000
EPOCH = 7 * 128
"""What an epoch sees of these: full batches."""
NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))


def plan(name: str, **training: object) -> ModelPlan:
    return ModelPlan(
        name=name, network=NETWORK, training=TrainingRecipe(**{"epochs": 9.0, **training})
    )


def trained(name: str, scores: Sequence[float | None], **training: object) -> Trainee:
    points = [
        CurvePoint(model=name, epoch=n, seconds=n, loss=1.0, score=score)
        for n, score in enumerate(scores, 1)
    ]
    return Trainee(
        plan=plan(name, **training),
        network=None,
        seconds=9.0,
        cpu_seconds=9.0,
        samples=5 * EPOCH,
        curve=tuple(points),
    )


RECIPE = FitRecipe(
    teacher=plan("teacher"), students=(plan("wide"),), cheaper=(plan("less"), plan("least"))
)


def aim(chosen: Candidate, *students: Trainee, text: str = "drop<=1%") -> Aim | None:
    return aim_of([chosen], students, RECIPE, Budget.parse(text), ITEMS)


@pytest.fixture
def chosen(make_candidate: MakeCandidate) -> Candidate:
    one = make_candidate("wide", accuracy=(0.95, 0.94, 0.96), drop=(0.003, 0.001, 0.006))
    return replace(one, meets_budget=True)


@pytest.mark.parametrize(
    ("text", "spare"),
    [
        ("drop<=1%", 0.004),
        ("accuracy>=91%", 0.03),
        ("score>=92%, p99<=1ms", 0.02),
        ("drop<=1%, accuracy>=93.9%", 0.001),
        ("p99<=1ms", None),
        ("f1>=90%", None),
    ],
)
def test_what_a_score_may_lose_is_told_by_the_ends_of_its_intervals(
    chosen: Candidate, text: str, spare: float | None
) -> None:
    found = slack(chosen, Budget.parse(text))
    assert found == (None if spare is None else pytest.approx(spare))


def test_cheaper_ones_have_to_reach_what_would_just_keep_the_budget(chosen: Candidate) -> None:
    found = aim(chosen, trained("wide", [0.9, 0.93, 0.951]))
    assert found is not None
    assert found.needed == pytest.approx(0.951 - 0.004)
    assert found.plans == RECIPE.cheaper
    assert [found.epochs(share) for share in (0.01, 1 / 3, 0.34, 1.0)] == [1, 1, 2, 3]


def test_they_are_trained_for_as_long_as_the_one_that_time_cut_short(chosen: Candidate) -> None:
    cut = trained("wide", [0.9, 0.93], replans=(Replan(step=20, remaining=30),))
    found = aim(chosen, cut)
    assert found is not None
    assert {each.training.epochs for each in found.plans} == {5.0}


def test_there_is_nothing_to_aim_at(chosen: Candidate) -> None:
    wide = trained("wide", [0.9, 0.95])
    assert aim(replace(chosen, meets_budget=False), wide) is None
    assert aim(replace(chosen, model="teacher"), wide) is None
    assert aim(chosen, trained("wide", [None, 0.9])) is None
    assert aim(chosen, trained("wide", [])) is None
    assert aim(chosen, wide, text="size<=1MB") is None
    alone = replace(RECIPE, cheaper=())
    assert aim_of([chosen], [wide], alone, Budget.parse("drop<=1%"), ITEMS) is None


def test_the_cheapest_that_passes_is_the_one_to_beat(
    chosen: Candidate, make_candidate: MakeCandidate
) -> None:
    teacher = replace(make_candidate("teacher", cost=0.1), meets_budget=True)
    dear = replace(make_candidate("dear", cost=3.0), meets_budget=True)
    students = [trained("dear", [0.8, 0.99]), trained("wide", [0.8, 0.95])]
    found = aim_of([teacher, dear, chosen], students, RECIPE, Budget.parse("drop<=1%"), ITEMS)
    assert found is not None
    assert found.reference.name == "wide"


def test_what_was_given_up_is_written_down(chosen: Candidate) -> None:
    found = aim(chosen, trained("wide", [0.9, 0.93, 0.951]))
    assert found is not None
    record = found.give_up(trained("least", [0.8]), ITEMS)
    assert (record.model, record.epochs, record.planned_epochs) == ("least", 1, 3)
    caught_up = 2 ** (LAG_LEFT + (1 - LAG_LEFT) / 3)  # twice the errors so far, at a third
    assert record.expected.value == pytest.approx(1 - 0.049 * caught_up)
    assert record.expected.low < record.expected.value < record.expected.high
    assert record.needed == found.needed
    unknown = found.give_up(trained("least", []), ITEMS).expected
    assert (unknown.low, unknown.high) == (0.0, 1.0)


WIDE = trained("wide", [0.9, 0.95])
SURE = (3.0, 2.9, 3.1)


@pytest.mark.parametrize(
    ("figures", "text", "expected"),
    [
        ({"p99": SURE}, "drop<=1%, p99<=2ms", True),
        ({"p99": SURE}, "p99<=2ms", True),
        ({"p99": (1.9, 1.8, 2.1)}, "drop<=1%, p99<=2ms", True),
        ({"p99": (1.9, 1.8, math.inf)}, "drop<=1%, p99<=2ms", False),  # too few calls
        ({"p99": (2.1, 1.8, math.inf)}, "drop<=1%, p99<=2ms", True),
        ({"p99": SURE, "drop": 0.02}, "drop<=1%, p99<=2ms", False),
        ({"p99": SURE, "accuracy": (0.95, 0.94, 0.96)}, "score>=95%, p99<=2ms", False),
        ({"p99": SURE}, "drop<=1%, p99<=4ms", False),
    ],
)
def test_a_student_costs_too_much_where_it_misses_nothing_else(
    make_candidate: MakeCandidate, figures: dict[str, object], text: str, expected: bool
) -> None:
    budget = Budget.parse(text)
    rows = mark_passing([make_candidate("wide", **figures)], budget)
    assert costs_too_much(rows, [WIDE], budget) is expected


def test_it_does_not_where_another_keeps_the_budget_or_nothing_can_be_told(
    make_candidate: MakeCandidate,
) -> None:
    budget = Budget.parse("drop<=1%, p99<=2ms")
    dear, sound = make_candidate("wide", p99=SURE), make_candidate("dear", p99=1.0)
    students = [trained("dear", [0.9]), WIDE]
    assert costs_too_much(mark_passing([dear], budget), students, budget)
    assert not costs_too_much(mark_passing([dear, sound], budget), students, budget)
    assert not costs_too_much(
        mark_passing([replace(dear, unverified="no")], budget), [WIDE], budget
    )
    assert not costs_too_much((), [], budget)


def test_only_those_below_the_last_that_was_trained_are_left(chosen: Candidate) -> None:
    assert below(RECIPE.cheaper, {"wide"}) == RECIPE.cheaper
    assert below(RECIPE.cheaper, {"wide", "less"}) == RECIPE.cheaper[1:]
    less = trained("less", [0.9, 0.95])
    found = aim_of(
        [replace(chosen, model="less")], [WIDE, less], RECIPE, Budget.parse("drop<=1%"), 9
    )
    assert found is not None
    assert [plan.name for plan in found.plans] == ["least"]
