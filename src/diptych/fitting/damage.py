"""Damage: what a model lost against another on the same items, as the report tells it.

Shapes: N items, K outputs, M told things (an item of a class, or a label that an item has).
"""

import math
from dataclasses import dataclass

import numpy as np

from diptych.core.damage import (
    Calibration,
    CalibrationChange,
    ClassDamage,
    Damage,
    ErrorChange,
    ErrorQuantile,
    Flips,
)
from diptych.core.values import Goal
from diptych.fitting.worst import worst_items
from diptych.measure import calibration, means
from diptych.measure.burdens import LEVEL, burdens
from diptych.measure.proportions import paired_drop, proportion
from diptych.measure.quantiles import quantile
from diptych.measure.signs import sign_test
from diptych.tasks.classification import softmax
from diptych.tasks.multi_label import sigmoid

MOST_CLASSES = 100
MOST_VALUES = 10_000_000
QUANTILES = (0.5, 0.9, 0.99)
NO_CHANGE = 1e-3
"""A change of an error by less than this share of the mean error counts as none."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Two models' outputs, float32 (N, K), of the same items with their targets (N, ...).

    `names` are those of the reference and of the model, `items` name the N items.
    """

    goal: Goal
    labels: tuple[str, ...]
    names: tuple[str, str]
    items: tuple[str, ...]
    targets: np.ndarray
    reference: np.ndarray
    model: np.ndarray


def assess(answered: Answered) -> Damage:
    """Tell what a model lost.

    Args:
        answered: The outputs of both; N at least 1.

    Returns:
        The damage.
    """
    told = answered.goal != "regression"
    return Damage(
        goal=answered.goal,
        reference=answered.names[0],
        model=answered.names[1],
        flips=_flips(answered) if told else None,
        num_classes=len(answered.labels) if told else 0,
        classes=_classes(answered) if told else (),
        calibration=_calibration_change(answered) if told else None,
        errors=_error_change(answered),
        items=worst_items(answered.goal, answered.labels, answered.items, _triple(answered)),
    )


def _triple(answered: Answered) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return answered.targets, answered.reference, answered.model


def _flips(answered: Answered) -> Flips:
    before = _wrong(answered.reference, answered.targets)
    after = _wrong(answered.model, answered.targets)
    n, lost, gained = len(before), int((after > before).sum()), int((after < before).sum())
    return Flips(
        n=n,
        lost=lost,
        gained=gained,
        differing=int(_differing(answered).sum()),
        lost_share=proportion(lost, n),
        gained_share=proportion(gained, n),
        p_value=sign_test(lost, gained),
    )


def _wrong(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Count what is told wrong of each item: of classes 0 or 1, of labels up to K; int (N,)."""
    if targets.ndim == 1:
        return np.asarray(outputs.argmax(axis=1) != targets, np.int64)
    return np.asarray(np.count_nonzero((outputs >= 0) != (targets > 0), axis=1))


def _differing(answered: Answered) -> np.ndarray:
    reference, model = answered.reference, answered.model
    if answered.targets.ndim == 1:
        return np.asarray(reference.argmax(axis=1) != model.argmax(axis=1))
    return np.asarray(((reference >= 0) != (model >= 0)).any(axis=1))


def _found(answered: Answered) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return class numbers int (M,), and whether each was found before and after, bool (M,)."""
    reference, model, targets = answered.reference, answered.model, answered.targets
    if targets.ndim == 1:
        return targets, reference.argmax(axis=1) == targets, model.argmax(axis=1) == targets
    rows, classes = np.nonzero(targets > 0)
    return classes, reference[rows, classes] >= 0, model[rows, classes] >= 0


def _classes(answered: Answered) -> tuple[ClassDamage, ...]:
    """Tell the damage of each class that has items, at most 100: those that lost most."""
    numbers, before, after = _found(answered)
    size = len(answered.labels)
    counts = np.bincount(numbers, minlength=size)
    lost = np.bincount(numbers[before & ~after], minlength=size)
    gained = np.bincount(numbers[~before & after], minlength=size)
    p_values = burdens(lost, gained, counts)
    order = np.lexsort((gained - lost, p_values))
    kept = [k for k in order.tolist() if counts[k]][:MOST_CLASSES]
    rows = []
    for k in sorted(kept):
        own = numbers == k
        drop = paired_drop(before[own], after[own])
        rows.append(
            ClassDamage(
                label=answered.labels[k],
                n=int(counts[k]),
                right=int(np.count_nonzero(before[own])),
                lost=int(lost[k]),
                gained=int(gained[k]),
                low=drop.low,
                high=drop.high,
                p_value=float(p_values[k]),
                pays=bool(p_values[k] <= LEVEL),
            )
        )
    return tuple(rows)


def _calibration_change(answered: Answered) -> CalibrationChange | None:
    """Compare how honest the probabilities are; None where an output is not finite."""
    reference, model, targets = answered.reference, answered.model, answered.targets
    if not (np.isfinite(reference).all() and np.isfinite(model).all()):
        return None
    return CalibrationChange(
        reference=_calibration(reference, targets), model=_calibration(model, targets)
    )


def _calibration(outputs: np.ndarray, targets: np.ndarray) -> Calibration:
    step = math.ceil(outputs.size / MOST_VALUES)  # of very much, every so manyth item is enough
    outputs, targets = outputs[::step], targets[::step]
    if targets.ndim == 1:
        shares = softmax(outputs)
        right = outputs.argmax(axis=1) == targets
        seen = calibration.calibration_error(shares.max(axis=1), right)
        temperature = calibration.temperature_of_classes(outputs, targets)
    else:
        about = np.repeat(np.arange(len(targets)), targets.shape[1])
        has = (targets > 0).reshape(-1)
        seen = calibration.calibration_error(sigmoid(outputs).reshape(-1), has, about)
        temperature = calibration.temperature_of_labels(outputs, targets)
    return Calibration(error=seen.error, floor=seen.floor, temperature=temperature)


def _error_change(answered: Answered) -> ErrorChange | None:
    """Compare how far off the answers are: numbers in their unit, ordered classes in steps."""
    reference, model = answered.reference, answered.model
    match answered.goal:
        case "regression":
            before, after = reference[:, 0], model[:, 0]
            quantiles: tuple[float, ...] = QUANTILES
        case "ordinal":
            before, after = reference.argmax(axis=1), model.argmax(axis=1)
            quantiles = ()
        case _:
            return None
    targets = answered.targets.astype(np.float64)
    return _change(np.abs(before - targets), np.abs(after - targets), quantiles)


def _change(before: np.ndarray, after: np.ndarray, quantiles: tuple[float, ...]) -> ErrorChange:
    known = bool(np.isfinite(before).all() and np.isfinite(after).all())
    least = NO_CHANGE * float(before.mean())
    grew = int(np.count_nonzero(after - before > least))
    shrank = int(np.count_nonzero(before - after > least))
    return ErrorChange(
        n=len(before),
        mean=means.mean(after - before, span=float(np.ptp(before)) or 1.0),
        grew=grew,
        shrank=shrank,
        p_value=sign_test(grew, shrank),
        quantiles=tuple(
            ErrorQuantile(q=q, reference=quantile(before, q), model=quantile(after, q))
            for q in (quantiles if known else ())
        ),
    )
