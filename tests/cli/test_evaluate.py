import json
from pathlib import Path

import pytest
from msgspec import structs

from diptych.cli.evaluate import document, summary
from diptych.cli.main import run
from diptych.cli.output import print_json
from diptych.core.damage import Damage, Flips
from diptych.core.values import Estimate
from diptych.fitting.evaluate import ClassScore, Evaluation
from diptych.fitting.streaming import StreamEvaluation
from diptych.inference.detection import Rule
from diptych.measure.means import unknown
from diptych.measure.proportions import proportion
from diptych.measure.rates import rate


@pytest.mark.slow
def test_an_evaluation_is_printed_for_people_and_for_programs(
    digits_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(digits_bundle), "digits", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"n", "accuracy", "low", "high", "per_class"} <= set(result)
    assert run(["evaluate", str(digits_bundle), "digits"]) == 0
    text = capsys.readouterr().out
    assert "95 % interval" in text
    assert "is \\ called" in text


def test_a_bundle_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "nowhere.dip", "digits"]) == 2
    assert "nowhere.dip" in capsys.readouterr().err


def number(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.25, high=value + 0.25, n=8, method="by hand")


CLASSES = Evaluation(
    n=8,
    score="accuracy",
    scores={"accuracy": number(0.5), "f1": number(0.375)},
    items="test split",
    per_class=(
        ClassScore(label="ant", n=8, recall=number(0.5), precision=number(0.75)),
        ClassScore(label="bee", n=0, recall=None, precision=None),
    ),
    confusion=((4, 4), (0, 0)),
)
NUMBERS = Evaluation(
    n=8, score="r2", scores={"r2": number(0.5), "mae": number(2000.25)}, items="all items"
)


def test_the_document_begins_with_the_main_score_and_its_interval() -> None:
    found = document(CLASSES)
    assert (found["n"], found["accuracy"], found["low"], found["high"]) == (8, 0.5, 0.25, 0.75)
    assert found["scores"]["f1"]["value"] == 0.375  # type: ignore[index]
    assert found["confusion"] == ((4, 4), (0, 0))
    found = json.loads(json.dumps(document(NUMBERS)))
    assert (found["r2"], found["score"], found["per_class"]) == (0.5, "r2", [])


def test_people_see_every_score_in_its_unit_and_the_classes() -> None:
    lines = summary(CLASSES).splitlines()
    assert lines[0] == "8 items (test split)"
    shown = [line.split() for line in lines]
    assert ["accuracy", "50.00", "%", "25.00", "%", "to", "75.00", "%", "by", "hand"] in shown
    assert ["f1", "37.50", "%", "12.50", "%", "to", "62.50", "%", "by", "hand"] in shown
    assert next(line for line in lines if line.startswith("ant")).split(maxsplit=2)[2] == (
        "50.00 % (25.00 % to 75.00 %)  75.00 % (50.00 % to 100.00 %)"
    )
    assert ["bee", "0", "none", "none"] in shown
    assert ["ant", "4", "4"] in shown


def test_the_damage_is_one_line_and_in_the_document() -> None:
    flips = Flips(
        n=8, lost=3, gained=1, differing=5, lost_share=number(0.375), gained_share=number(0.125),
        p_value=0.6,
    )  # fmt: skip
    damage = Damage(goal="classification", reference="old.dip", model="new.dip", flips=flips)
    result = structs.replace(CLASSES, damage=damage)
    shown = "damage against old.dip: 3 items lost, 1 gained of 8; no class pays more than chance"
    assert shown in summary(result).splitlines()
    assert document(result)["damage"]["flips"]["lost"] == 3  # type: ignore[index]
    assert "damage" not in summary(CLASSES)


def test_the_interval_of_a_class_is_told_by_its_ends() -> None:
    """5 of 5 was 100 % plus or minus 21.7."""
    every = ClassScore(label="ant", n=5, recall=proportion(5, 5), precision=None)
    text = summary(structs.replace(CLASSES, per_class=(every,), confusion=((5,),)))
    assert "100.00 % (56.55 % to 100.00 %)" in text
    assert "±" not in text


def test_a_score_of_which_nothing_is_known_is_unknown_and_null(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nothing = unknown("undefined: all targets are equal")
    result = structs.replace(NUMBERS, scores={"r2": nothing, "mae": number(3)})
    shown = [line.split() for line in summary(result).splitlines()]
    assert ["r2", "unknown", "undefined:", "all", "targets", "are", "equal"] in shown
    print_json(document(result))
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (found["r2"], found["low"], found["high"]) == (None, None, None)
    assert found["scores"]["r2"]["value"] is found["scores"]["r2"]["high"] is None
    assert found["scores"]["r2"]["method"] == "undefined: all targets are equal"
    assert found["scores"]["mae"]["value"] == 3


def test_a_stream_without_false_accepts_has_none_and_not_an_unknown_number() -> None:
    heard = StreamEvaluation(
        seconds=3600, recordings=5, decisions=9, hop_s=0.1, rule=Rule(),
        detected=proportion(5, 5), false_accepts_per_hour=rate(0, 1.0),
    )  # fmt: skip
    found = document(structs.replace(CLASSES, stream=heard))
    assert found["stream"]["false_accepts_per_hour"]["value"] == 0  # type: ignore[index]


def test_numbers_have_no_classes_and_are_shown_in_their_own_unit() -> None:
    text = summary(NUMBERS)
    shown = [line.split() for line in text.splitlines()]
    assert ["mae", "2,000", "2,000", "to", "2,000", "by", "hand"] in shown
    assert "class" not in text
    assert "is \\ called" not in text
