import numpy as np
from msgspec.structs import replace

from diptych.measure.means import unknown
from diptych.reporting.answers import Answer, achievement, known, told, write
from diptych.tasks.goals import GOALS


def answered(goal: str, outputs: list[float], labels: tuple[str, ...]) -> Answer:
    return write(GOALS[goal].answer([""], np.array([outputs], np.float32), labels)[0])


def test_a_class_comes_with_its_probability() -> None:
    assert answered("classification", [0.0, np.log(3)], ("no", "yes")) == Answer(
        text="yes", detail="0.75"
    )
    assert answered("ordinal", [0.0, 9.0], ("poor", "good")).text == "good"


def test_several_labels_come_with_theirs() -> None:
    labels = ("cat", "night", "text")
    assert answered("multi-label", [0.0, -9.0, np.log(3)], labels) == Answer(
        text="cat, text", detail="0.50, 0.75"
    )
    assert answered("multi-label", [-9.0, -np.log(3), -5.0], labels) == Answer(
        text="none of the labels", detail="likeliest: night 0.25"
    )


def test_a_number_stands_alone() -> None:
    assert answered("regression", [206_855.3], ("price",)) == Answer(text="206,900")


def test_what_comes_out_is_said_for_every_goal(manifest, tabled, tagged) -> None:
    ordered = replace(manifest, goal="ordinal", labels=("poor", "fine", "good"))
    assert told(manifest) == "one of 10 labels out: T-shirt, Trouser, Pullover, …"
    assert told(ordered) == "one of 3 steps out, from poor to good"
    assert told(tagged.manifest) == "any of 3 labels out: cat, night, text"
    assert told(tabled.manifest) == "one number out: price"


def test_how_well_it_does_is_said_in_the_goals_own_words(manifest, tabled, tagged) -> None:
    assert achievement(manifest) == "is right on 92.9 % of 10,000 test items"
    assert achievement(tagged.manifest) == "reaches an F1 of 74.0 % on 4,128 test items"
    assert achievement(tabled.manifest) == (
        "explains 83.0 % of the variance of price on 4,128 test items (RMSE 46,500)"
    )


def test_nothing_is_explained_by_a_score_below_zero_or_unknown(tabled) -> None:
    def scored(score) -> str:
        model = replace(tabled.manifest.model, scores={"r2": score})
        return achievement(replace(tabled.manifest, model=model))

    below = replace(tabled.manifest.model.score, value=-0.2, low=-0.3, high=-0.1)
    assert scored(below) == "reaches an R² of -20 % on 4,128 test items"
    assert scored(unknown("undefined")) == "has no R² on the test split (undefined)"


def test_the_card_says_what_is_known_and_that_it_is_all(manifest, tabled, tagged) -> None:
    assert known(manifest, most=2) == (
        "It knows 10 labels and nothing else: T-shirt, Trouser and 8 more."
    )
    assert "any number of them at once" in known(tagged.manifest)
    assert "labels" not in known(tabled.manifest)
