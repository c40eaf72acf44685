"""Listening to a made stream, with ears whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from diptych.core.specs import AudioSpec
from diptych.core.values import Split
from diptych.fitting.streaming import stream_evaluation
from diptych.inference.bundle import load
from diptych.inference.detection import Rule
from diptych.inference.stream import Stream
from diptych.tasks.prediction import Prediction

SPEC = AudioSpec(sample_rate=1000, samples=500)
LEVELS = {"yes": 1000, "no": 2000, "_silence_": 0}
RULE = Rule(threshold=0.9, hits=1, of=1, refractory_s=0.2)


class Ears:
    """What a bundle is to a stream: the score of a label is the share of samples at its level."""

    def __init__(self, goal: str = "classification") -> None:
        self.manifest = SimpleNamespace(input=SPEC, goal=goal)
        self.labels = tuple(LEVELS)

    def hear(self, window: np.ndarray) -> Prediction:
        scores = {name: float(np.mean(window == level)) for name, level in LEVELS.items()}
        return Prediction(input="", scores=scores)

    def stream(self, *, hop_s: float) -> Stream:
        return Stream(SPEC, self.hear, hop_s=hop_s, rate=None, threshold=0.5)


def recordings(*names: str) -> Split:
    levels = np.array([LEVELS[name] for name in names], np.int16)
    inputs = np.repeat(levels[:, None], SPEC.samples, axis=1)
    targets = np.array([list(LEVELS).index(name) for name in names])
    return Split(inputs=inputs, targets=targets, items=names)


def test_recordings_are_heard_in_the_stream_and_nothing_else():
    found = stream_evaluation(Ears(), recordings(*["yes", "no"] * 5), hop_s=0.01, rule=RULE)
    assert (found.recordings, found.detected.n, found.detected.value) == (10, 10, 1.0)
    assert found.false_accepts_per_hour.value == 0
    assert found.false_accepts_per_hour.high == pytest.approx(
        3.689 / found.seconds * 3600, rel=1e-3
    )
    assert found.decisions == int(found.seconds / 0.01 + 1e-6)
    assert 10 * 0.5 + 11 * 0.5 <= found.seconds <= 10 * 0.5 + 11 * 2.5


def test_what_is_heard_under_another_label_is_a_false_accept_and_a_miss():
    split = recordings("yes", "yes", "no", "no", "no")
    split.targets[0] = 1
    found = stream_evaluation(Ears(), split, hop_s=0.01, rule=RULE)
    assert found.detected.value == 0.8
    assert found.false_accepts_per_hour.n == 1
    assert found.false_accepts_per_hour.value == pytest.approx(3600 / found.seconds)


def test_background_is_not_to_be_heard():
    found = stream_evaluation(Ears(), recordings("yes", "_silence_", "_silence_"), rule=RULE)
    assert found.recordings == 1
    assert stream_evaluation(Ears(), recordings("_silence_")) is None


def test_several_labels_may_be_in_a_recording():
    split = recordings("yes", "no", "no")
    targets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], np.float32)
    several = Split(inputs=split.inputs, targets=targets, items=split.items)
    found = stream_evaluation(Ears("multi-label"), several, hop_s=0.01, rule=RULE)
    assert (found.recordings, found.detected.value) == (2, 1.0)
    assert found.false_accepts_per_hour.n == 1


def test_the_stream_is_that_of_its_seed():
    split = recordings("yes", "no", "yes")
    runs = [stream_evaluation(Ears(), split, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_progress_ends_at_its_total():
    steps = []
    stream_evaluation(Ears(), recordings("yes", "no"), report=steps.append)
    assert [step.done for step in steps] == [1, 2, 3, 4, 5]
    assert steps[-1].total == 5


def test_numbers_and_pictures_are_not_heard(tiny_bundle, tiny, kind_bundle):
    split = Split(inputs=tiny.inputs, targets=np.zeros(4, np.int64), items=tuple("abcd"))
    with load(tiny_bundle) as pictures:
        assert stream_evaluation(pictures, split) is None
    number = kind_bundle("audio", "regression")
    told = Split(inputs=number.inputs, targets=np.zeros(4, np.float32), items=tuple("abcd"))
    with load(number.path) as bundle:
        assert stream_evaluation(bundle, told) is None


def test_a_bundle_listens(kind_bundle):
    kind = kind_bundle("audio")
    split = Split(inputs=kind.inputs, targets=np.zeros(4, np.int64), items=tuple("abcd"))
    with load(kind.path) as bundle:
        found = stream_evaluation(bundle, split, hop_s=0.25)
    assert found.recordings == 4
    assert found.decisions == int(found.seconds / 0.25)
