from diptych.core.errors import TrainingError
from diptych.core.progress import Step, silent
from diptych.core.values import CurvePoint
from diptych.fitting.aim import Aim
from diptych.fitting.forecast import LAG_LEFT
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.search import Search
from diptych.fitting.trainee import Trainee
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
ENDS = {"wide": 0.05, "a": 0.052, "b": 0.06, "c": 0.07, "d": 0.1, "e": 0.15}
EPOCHS = 18


def error(name: str, share: float) -> float:
    """Say on how many a student errs after a share of its training."""
    lag = ENDS[name] / ENDS["wide"]
    return ENDS["wide"] * 2 ** (1 - share) * lag ** (1 / (LAG_LEFT + (1 - LAG_LEFT) * share))


def trained(name: str, epochs: int) -> Trainee:
    """Make a student that catches up to its own end."""
    points = [
        CurvePoint(model=name, epoch=n, seconds=n, loss=1.0, score=1 - error(name, n / EPOCHS))
        for n in range(1, epochs + 1)
    ]
    plan = ModelPlan(name=name, network=NETWORK, training=TrainingRecipe(epochs=EPOCHS))
    return Trainee(
        plan=plan, network=None, seconds=60.0, cpu_seconds=60.0, samples=1, curve=tuple(points)
    )


def search(asked: list[tuple[str, int]], told: list[str], *, time: bool = True) -> Search:
    """Make a search for what errs on at most 8 %; it notes what it trains and tells."""
    wide = trained("wide", EPOCHS)
    scores = tuple(point.score or 0.0 for point in wide.curve)
    plans = tuple(trained(name, 1).plan for name in ENDS if name != "wide")
    aim = Aim(reference=wide, scores=scores, needed=0.92, plans=plans)

    def train(plan: ModelPlan, epochs: int) -> Trainee:
        asked.append((plan.name, epochs))
        return trained(plan.name, epochs)

    def report(step: Step) -> None:
        told.append(step.note)

    return Search(aim, 10_000, train, lambda: time, "accuracy", report if time else silent)


def test_the_cheapest_that_will_do_is_found_and_the_others_are_remembered() -> None:
    asked: list[tuple[str, int]] = []
    told: list[str] = []
    one = search(asked, told)
    assert next(one.found(float("inf"))).name == "c"
    assert asked[0] == ("e", 2)
    assert asked[-3:] == [("c", 2), ("c", 6), ("c", 12)]
    left = one.left({"wide", "c"})
    assert set(left) == {"d", "e"}
    assert left["e"][1].epochs == 2
    assert left["e"][1].expected.high < 0.92
    assert told[0].startswith("e: 2 of 18 epochs, ")


def test_who_was_trained_ahead_is_judged_by_the_same_epochs() -> None:
    asked: list[tuple[str, int]] = []
    told: list[str] = []
    expected: list[str] = []
    list(search(asked, expected).found(float("inf")))
    one = search(asked, told)
    one.train = lambda plan, epochs: trained(plan.name, EPOCHS)
    list(one.found(float("inf")))
    assert told == expected
    assert [plan.name for plan in one.turns] == ["e", "d", "c", "b", "a"]
    assert len(one.paused["e"].curve) == EPOCHS
    one.leave("e", trained("e", 1))
    one.leave("f", trained("e", 1))
    assert told[len(expected) :] == ["f: not needed any more"]
    assert [len(one.paused[name].curve) for name in "ef"] == [EPOCHS, 1]


def test_without_time_nothing_is_trained() -> None:
    asked: list[tuple[str, int]] = []
    assert not list(search(asked, []).found(59.0))
    late = search(asked, [], time=False)
    list(late.found(float("inf")))
    assert asked == []
    assert late.left(()) == {}


def test_one_that_cannot_be_trained_will_not_do_and_the_search_goes_on() -> None:
    asked: list[tuple[str, int]] = []
    told: list[str] = []
    one = search(asked, told)
    sound = one.train

    def train(plan: ModelPlan, epochs: int) -> Trainee:
        if plan.name == "e" or (plan.name == "c" and epochs > 2):
            raise TrainingError("the loss at step 7 is nan", "try a lower rate")
        return sound(plan, epochs)

    one.train = train
    assert next(one.found(float("inf"))).name == "b"
    assert told.count("left out: the loss at step 7 is nan") == 2
    assert set(one.left({"wide", "b"})) >= {"d", "c"}
    assert "e" not in one.paused


def test_who_was_trained_to_the_end_before_has_a_turn_without_time() -> None:
    asked: list[tuple[str, int]] = []
    late = search(asked, [], time=False)
    assert [plan.name for plan in late.found(59.0, lambda plan: plan.name == "b")] == ["b"]
    assert asked == []
