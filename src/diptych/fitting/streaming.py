"""How a bundle does on a stream: test recordings one after another, with quiet pauses between.

Shapes: M recordings, T samples of each, K labels.
"""

from collections.abc import Sequence

import numpy as np

from diptych.core.progress import Reporter, Step, silent
from diptych.core.seeds import generator
from diptych.core.specs import AudioSpec, Value
from diptych.core.values import Estimate, Split
from diptych.inference.bundle import Bundle
from diptych.inference.detection import (
    Detection,
    Detector,
    Rule,
    Utterance,
    false_accepts,
    is_background,
    is_true,
)
from diptych.measure.proportions import proportion

MOST_RECORDINGS = 400
PAUSE_S = (0.5, 2.5)
NOISE_RMS = 10.0
"""Of int16 samples: 70 dB below full scale."""

Piece = tuple[np.ndarray, tuple[str, ...]]
"""Samples, and the labels that are to be heard in them."""


class StreamEvaluation(Value):
    """What was heard in a stream: of its recordings `detected`, and what was not there per hour.

    A false accept is a detection of a label that was not to be heard in the window before it: in a
    pause, or another one's.
    """

    seconds: float
    recordings: int
    decisions: int
    hop_s: float
    rule: Rule
    detected: Estimate
    false_accepts_per_hour: Estimate


def stream_evaluation(
    bundle: Bundle,
    split: Split,
    *,
    seed: int = 0,
    hop_s: float = 0.1,
    rule: Rule | None = None,
    report: Reporter = silent,
) -> StreamEvaluation | None:
    """Let a bundle listen to the recordings of a split.

    Args:
        bundle: A bundle.
        split: Labelled recordings as the bundle takes them, its own labels; at most 400, drawn at
            random, are used.
        seed: Of the order, the pauses and the noise in them.
        hop_s: Seconds from one decision to the next.
        rule: When decisions make a detection.
        report: Told how far it is.

    Returns:
        What was heard; None where the bundle does not take sound, does not tell labels, or there
        is nothing to be heard.
    """
    spec = bundle.manifest.input
    if not isinstance(spec, AudioSpec) or bundle.manifest.goal == "regression":
        return None
    heard = _listen(
        bundle, _pieces(split, bundle.labels, spec, seed), hop_s, rule or Rule(), report
    )
    return heard if heard.recordings else None


def _listen(
    bundle: Bundle, pieces: Sequence[Piece], hop_s: float, rule: Rule, report: Reporter
) -> StreamEvaluation:
    stream, detector = bundle.stream(hop_s=hop_s), Detector(rule)
    truth: list[Utterance] = []
    found: list[Detection] = []
    num_decisions, seconds = 0, 0.0
    for place, (samples, labels) in enumerate(pieces, start=1):
        end_s = seconds + len(samples) / stream.rate
        if labels:
            truth.append(Utterance(start_s=seconds, end_s=end_s, labels=labels))
        seconds = end_s
        for decision in stream.feed(samples):
            num_decisions += 1
            found += detector.hear(decision)
        report(Step(stage="listen", done=place, total=len(pieces)))
    heard = sum(any(is_true(one, [each], stream.window_s) for one in found) for each in truth)
    return StreamEvaluation(
        seconds=seconds,
        recordings=len(truth),
        decisions=num_decisions,
        hop_s=hop_s,
        rule=rule,
        detected=proportion(heard, max(1, len(truth))),
        false_accepts_per_hour=false_accepts(found, truth, seconds / 3600, stream.window_s),
    )


def _pieces(split: Split, labels: Sequence[str], spec: AudioSpec, seed: int) -> list[Piece]:
    """Put pauses and recordings in turn, a pause last."""
    rng = generator(seed, "stream")
    pieces: list[Piece] = []
    for index in rng.permutation(len(split))[:MOST_RECORDINGS].tolist():
        told = _names(split.targets[index], labels)
        pieces += [(_pause(spec, rng), ()), (split.inputs[index], told)]
    return [*pieces, (_pause(spec, rng), ())]


def _pause(spec: AudioSpec, rng: np.random.Generator) -> np.ndarray:
    length = round(rng.uniform(*PAUSE_S) * spec.sample_rate)
    return np.rint(rng.normal(0.0, NOISE_RMS, length)).astype(np.int16)


def _names(target: np.ndarray, labels: Sequence[str]) -> tuple[str, ...]:
    """Name what is to be heard in a recording; nothing where it is background."""
    numbers = np.flatnonzero(target).tolist() if target.ndim else [int(target)]
    return tuple(labels[number] for number in numbers if not is_background(labels[number]))
