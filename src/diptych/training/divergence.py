"""When a run is to end before its plan: its loss explodes, or its score gets no better.

A loss has exploded when it is not finite, or stays far above that of the untrained network. Single
looks may be far off (a rare batch, the steps after a high rate begins), and a loss may rise by any
factor from where it was low, or at first all but nothing: none of these ends a run.

Measured (benchmarks/training/divergence.py, n = 208 runs of four small networks, rates from far too
low to far too high): none of 111 that learned was ended, with looks up to 67 times the first;
49 of 97 that failed were; most others stood still at the loss of an untrained network.
"""

import math
from collections.abc import Sequence

from diptych.core.errors import ConfigError, TrainingError
from diptych.core.specs import Value
from diptych.core.text import number
from diptych.core.values import CurvePoint

TIMES = 10.0
LEAST_SIZE = 1.0
LOOKS_IN_A_ROW = 5
HINT = 'try a lower learning_rate, clip = 1.0 or arithmetic = "fp32" in the recipe'


class Baseline(Value):
    """What losses are compared with, `first` and `lowest`; `above` looks in a row were far off."""

    first: float
    lowest: float
    above: int = 0


class Watch:
    """Looks at the loss of a run, and ends it when the loss explodes.

    Its `baseline` is all that it remembers, to go on from; None before the first look.

    Args:
        name: The run's name, for the error.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.baseline: Baseline | None = None

    def look(self, step: int, loss: float) -> None:
        """Look at the loss; the first look is best taken after the first step.

        Args:
            step: The step.
            loss: The mean since the look before.

        Raises:
            TrainingError: If the loss is not finite; or if at five looks in a row it was above the
                first by more than ten times the largest of: the first's size, the way from it down
                to the lowest, and 1 (the losses here are of that order before training).
        """
        if not math.isfinite(loss):
            raise TrainingError(f"{self.name} diverged: the loss of step {step} is {loss}", HINT)
        known = self.baseline or Baseline(first=loss, lowest=loss)
        first, lowest = known.first, min(known.lowest, loss)
        size = max(abs(first), first - lowest, LEAST_SIZE)
        above = known.above + 1 if loss > first + TIMES * size else 0
        self.baseline = Baseline(first=first, lowest=lowest, above=above)
        if above == LOOKS_IN_A_ROW:
            seen = f"the loss of step {step} is {number(loss)} and was {number(first)} at first"
            raise TrainingError(f"{self.name} diverged: {seen}", HINT)


class Plateau:
    """Says when more epochs are not worth their time.

    Args:
        patience: Epochs without a better score, after which a run ends; 0 for any number.
        target_score: The score at which it ends, as a fraction.

    Raises:
        ConfigError: If the patience is negative.
    """

    def __init__(self, patience: int = 0, target_score: float | None = None) -> None:
        if patience < 0:
            raise ConfigError(f"a patience of {patience} epochs is none", "give 0 or more")
        self.patience, self.target_score = patience, target_score

    def reason(self, curve: Sequence[CurvePoint]) -> str:
        """Say why a run ends after its last epoch.

        Args:
            curve: All epochs so far; those without a score do not count.

        Returns:
            Such as ``no better score in 5 epochs``; empty where it goes on.
        """
        scores = [point.score for point in curve if point.score is not None]
        scores = [score if math.isfinite(score) else -math.inf for score in scores]
        if not scores:
            return ""
        if self.target_score is not None and scores[-1] >= self.target_score:
            return f"the score is {100 * scores[-1]:.2f} %, the target was reached"
        if 0 < self.patience < len(scores) - scores.index(max(scores)):
            return f"no better score in {self.patience} epochs"
        return ""
