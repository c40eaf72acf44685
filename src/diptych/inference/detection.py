"""Detections: from a stream's decisions to the moments at which something was heard.

One window's answer is not yet a detection: a label must be above a threshold in `hits` of the last
`of` decisions, and is then not detected again for a while.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from diptych.core.errors import ConfigError
from diptych.core.specs import Value
from diptych.core.values import Estimate
from diptych.measure.rates import rate
from diptych.tasks.prediction import Prediction

BACKGROUND = frozenset(
    ("background", "background_noise", "noise", "none", "other", "silence", "unknown")
)
"""Labels that stand for nothing heard, whatever underscores are around them."""
Share = Annotated[float, Meta(ge=0, le=1)]


class Decision(Struct, frozen=True, kw_only=True):
    """What is said of the sound up to a time, in seconds from the stream's beginning."""

    time_s: float
    prediction: Prediction


class Detection(Struct, frozen=True, kw_only=True):
    """A label that was heard, the time at which that was decided, and the score then."""

    time_s: float
    label: str
    score: float


class Utterance(Struct, frozen=True, kw_only=True):
    """What there was to hear from one time to another."""

    start_s: float
    end_s: float
    labels: tuple[str, ...]


class Rule(Value):
    """When decisions make a detection; see the module. `refractory_s` is counted per label."""

    threshold: Share = 0.8
    hits: Annotated[int, Meta(ge=1)] = 2
    of: Annotated[int, Meta(ge=1, le=1000)] = 3
    refractory_s: Annotated[float, Meta(ge=0)] = 1.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: If a value is outside its range.
        """
        if not (0 <= self.threshold <= 1 and self.refractory_s >= 0):
            raise ConfigError(
                f"threshold {self.threshold:g}, {self.refractory_s:g} s until the next detection",
                "use a threshold of 0 to 1, and 0 s or more",
            )
        if not 1 <= self.hits <= self.of <= 1000:
            raise ConfigError(
                f"{self.hits} of {self.of} decisions cannot be asked for", "such as 2 of 3"
            )


class Detector:
    """Owns what was decided lately.

    Args:
        rule: When decisions make a detection.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._recent: deque[frozenset[str]] = deque(maxlen=rule.of)
        self._told_s: dict[str, float] = {}

    def hear(self, decision: Decision) -> list[Detection]:
        """Take in the next decision.

        Args:
            decision: In order of time.

        Returns:
            What is detected with it, usually nothing.
        """
        scores = decision.prediction.scores
        above = {label for label in scores if scores[label] >= self._rule.threshold}
        self._recent.append(frozenset(above))
        found = [label for label in scores if label in above and self._is_due(label, decision)]
        self._told_s.update(dict.fromkeys(found, decision.time_s))
        return [
            Detection(time_s=decision.time_s, label=label, score=scores[label]) for label in found
        ]

    def _is_due(self, label: str, decision: Decision) -> bool:
        told_s = self._told_s.get(label, -float("inf"))
        return (
            not is_background(label)
            and sum(label in labels for labels in self._recent) >= self._rule.hits
            and decision.time_s - told_s >= self._rule.refractory_s - 1e-9
        )


def is_background(label: str) -> bool:
    """Tell whether a label stands for nothing heard.

    Args:
        label: A class's name.

    Returns:
        True for such as ``silence`` or ``_unknown_``.
    """
    return label.strip("_").lower() in BACKGROUND


def detections(decisions: Iterable[Decision], rule: Rule) -> list[Detection]:
    """Find what is detected in a whole stream.

    Args:
        decisions: In order of time.
        rule: When decisions make a detection.

    Returns:
        The detections, in order.
    """
    detector = Detector(rule)
    return [found for decision in decisions for found in detector.hear(decision)]


def is_true(detection: Detection, truth: Sequence[Utterance], window_s: float) -> bool:
    """Tell whether what was detected was there.

    Args:
        detection: The detection.
        truth: What there was to hear.
        window_s: How far back a decision looks.

    Returns:
        True if its label was to be heard at some time in the window before it.
    """
    end_s = detection.time_s
    return any(
        detection.label in one.labels and one.start_s <= end_s and one.end_s >= end_s - window_s
        for one in truth
    )


def false_accepts(
    found: Iterable[Detection], truth: Sequence[Utterance], hours: float, window_s: float
) -> Estimate:
    """Estimate how often something is detected that was not there.

    Args:
        found: The detections.
        truth: What there was to hear.
        hours: How long the stream is, above 0.
        window_s: How far back a decision looks.

    Returns:
        False accepts per hour with the exact Poisson interval; `n` is their number.
    """
    return rate(sum(not is_true(one, truth, window_s) for one in found), hours)
