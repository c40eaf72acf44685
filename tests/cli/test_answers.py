"""Answers of each goal as lines, CSV and JSON."""

import csv
import json
from pathlib import Path

import pytest

from diptych.cli.answers import encoder, line
from diptych.core.errors import ConfigError
from diptych.tasks.prediction import Prediction

SCORES = {"ant": 0.75, "bee, or": 0.25}
ANSWERS = {
    "classification": Prediction(input="a\nb\tc", label="ant", score=0.75, scores=SCORES),
    "ordinal": Prediction(input="a\nb\tc", label="ant", score=0.75, scores=SCORES),
    "multi-label": Prediction(input="a\nb\tc", labels=("ant", "bee, or"), scores=SCORES),
    "regression": Prediction(input="a\nb\tc", value=1234567.891),
}


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ("classification", "a b c\tant\t0.7500"),
        ("multi-label", "a b c\tant|bee, or"),
        ("regression", "a b c\t1.23457e+06"),
    ],
)
def test_a_line_is_one_line_whatever_the_input_is(goal, expected):
    assert line(ANSWERS[goal], goal) == expected


@pytest.mark.parametrize("goal", ANSWERS)
def test_csv_gives_back_the_input_and_the_answer(goal):
    encode = encoder(Path("a.CSV"))
    text = b"".join(encode([ANSWERS[goal]] * 2, tuple(SCORES), goal)).decode()
    rows = list(csv.DictReader(text.splitlines(keepends=True)))
    assert len(rows) == 2
    names = {"multi-label": ["labels"], "regression": ["value"]}.get(goal, ["label", "score"])
    scores = [] if goal == "regression" else ["score:ant", "score:bee, or"]
    assert list(rows[0]) == ["input", *names, *scores]
    assert rows[0]["input"] == "a\nb\tc"
    if goal == "regression":
        assert float(rows[0]["value"]) == 1234567.891
    else:
        assert float(rows[0]["score:bee, or"]) == 0.25


@pytest.mark.parametrize("goal", ANSWERS)
def test_json_lines_hold_what_the_goal_has(goal):
    (text,) = encoder(None)([ANSWERS[goal]], tuple(SCORES), goal)
    keys = {
        "multi-label": {"input", "labels", "scores"},
        "regression": {"input", "value"},
    }.get(goal, {"input", "label", "score", "scores"})
    assert json.loads(text).keys() == keys


def test_another_kind_of_file_is_refused():
    with pytest.raises(ConfigError, match="cannot write"):
        encoder(Path("a.xlsx"))
