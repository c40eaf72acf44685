"""What a budget allows to be lost: its limits on scores and on the drop, for any outputs.

Shapes: N validation items, K outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diptych.core.values import Dataset, Precision
from diptych.fitting.budget import MAIN_SCORE, Budget, Term
from diptych.fitting.trials import Trial
from diptych.measure.scores import drop
from diptych.tasks.goals import kind_of


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """The limits, and what they are about: the validation split, N items.

    `teacher_outputs` are float32 (N, K), the teacher's on these items.
    """

    budget: Budget
    dataset: Dataset
    teacher_outputs: np.ndarray


def excess(allowance: Allowance, outputs: np.ndarray, *, surely: bool = False) -> float:
    """Say by how much answers miss the limits of scores and of the drop.

    Args:
        allowance: The limits.
        outputs: float32 (N, K).
        surely: Whether the ends of intervals have to keep the limits as well.

    Returns:
        The largest excess; 0 or less where all are kept or none is set.
    """
    terms = allowance.budget.terms
    return max((_excess(allowance, outputs, t, surely=surely) for t in terms), default=0.0)


def rounding_costs_too_much(allowance: Allowance, trials: Sequence[Trial]) -> bool:
    """Say whether a model loses in 8 bits what is not allowed.

    Args:
        allowance: The limits.
        trials: Of one model.

    Returns:
        True where an int8 program misses a limit that one in fp32 keeps: where both miss it,
        rounding is not what fails.
    """

    def keeps(precision: Precision) -> list[bool]:
        these = [trial for trial in trials if trial.program.precision == precision]
        return [excess(allowance, trial.outputs) <= 0 for trial in these]

    return any(keeps("fp32")) and not all(keeps("int8"))


def _excess(allowance: Allowance, outputs: np.ndarray, term: Term, *, surely: bool) -> float:
    kind, targets = kind_of(allowance.dataset), allowance.dataset.validation.targets
    name = kind.score if term.name == MAIN_SCORE else term.name
    if name in kind.metrics:
        found = kind.metrics[name](outputs, targets)
    elif name == "drop":
        teacher = kind.item_scores(allowance.teacher_outputs, targets)
        found = drop(teacher, kind.item_scores(outputs, targets))
    else:
        return 0.0
    if term.relation == "<=":
        return (found.high if surely else found.value) - term.limit
    return term.limit - (found.low if surely else found.value)
