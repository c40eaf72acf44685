"""Detections, on decisions made by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.inference.detection import (
    Decision,
    Detection,
    Rule,
    Utterance,
    detections,
    false_accepts,
    is_true,
)
from diptych.tasks.prediction import Prediction

RULE = Rule(threshold=0.5, hits=2, of=3, refractory_s=1.0)


def decided(*scores: float, label: str = "yes", hop_s: float = 0.25) -> list[Decision]:
    return [
        Decision(
            time_s=hop_s * place,
            prediction=Prediction(input="", scores={label: score, "no": (1 - score) / 4}),
        )
        for place, score in enumerate(scores)
    ]


def test_a_label_is_detected_when_enough_of_the_last_decisions_are_above_the_threshold():
    found = detections(decided(0.0, 0.9, 0.0, 0.0, 0.7, 0.0, 0.8, 0.0), RULE)
    assert found == [Detection(time_s=1.5, label="yes", score=0.8)]


def test_a_label_is_not_detected_again_within_the_refractory_time():
    found = detections(decided(*[0.9] * 12), RULE)
    assert [one.time_s for one in found] == [0.25, 1.25, 2.25]


def test_each_of_several_labels_is_detected_by_itself():
    both = [
        Decision(time_s=place, prediction=Prediction(input="", scores={"a": 0.9, "b": 0.8}))
        for place in range(2)
    ]
    assert [one.label for one in detections(both, RULE)] == ["a", "b"]


@pytest.mark.parametrize("label", ["silence", "_unknown_", "_Background_noise_"])
def test_labels_for_nothing_heard_are_never_detected(label):
    assert detections(decided(*[0.9] * 9, label=label), RULE) == []


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 4), st.integers(0, 3))
def test_detections_are_those_of_a_naive_search(scores, hits, more):
    rule = Rule(threshold=0.6, hits=hits, of=hits + more, refractory_s=0.6)
    expected, last = [], float("-inf")
    for place, score in enumerate(scores):
        recent = scores[max(0, place + 1 - rule.of) : place + 1]
        due = 0.25 * place - last >= 0.6
        if score >= 0.6 and due and sum(each >= 0.6 for each in recent) >= hits:
            last = 0.25 * place
            expected.append(last)
    assert [one.time_s for one in detections(decided(*scores), rule)] == expected


def test_a_detection_is_true_where_its_label_was_to_be_heard_in_the_window():
    truth = [Utterance(start_s=10, end_s=11, labels=("yes",))]

    def at(time_s: float, label: str = "yes") -> bool:
        return is_true(Detection(time_s=time_s, label=label, score=1.0), truth, window_s=2)

    assert [at(time_s) for time_s in (9.9, 10, 11, 13, 13.1)] == [False, True, True, True, False]
    assert not at(10.5, "no")


def test_false_accepts_are_counted_per_hour():
    truth = [Utterance(start_s=10, end_s=11, labels=("yes",))]
    found = [Detection(time_s=time_s, label="yes", score=1.0) for time_s in (3, 10.5, 20, 30)]
    estimate = false_accepts(found, truth, hours=0.5, window_s=1)
    assert (estimate.value, estimate.n) == (6.0, 3)
    assert estimate.low < 6.0 < estimate.high


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.1}, {"hits": 4}, {"hits": 0}, {"of": 2000}, {"refractory_s": -1.0}]
)
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ConfigError):
        Rule(**wrong)
