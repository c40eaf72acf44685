"""The worst items: those that one model told surely and well, and the other does not.

Shapes: N items, K outputs.
"""

import numpy as np

from diptych.core.damage import Told, WorstItem
from diptych.core.values import Goal
from diptych.tasks.classification import softmax
from diptych.tasks.multi_label import sigmoid

MOST_ITEMS = 12
MOST_INPUT_BYTES = 2 << 20
NO_GROWTH = 1e-3
LONGEST_NAME = 200

Labels = tuple[str, ...]
Triple = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Targets (N, ...), and the outputs of the reference and of the model, float32 (N, K)."""


def worst_items(
    goal: Goal, labels: Labels, items: tuple[str, ...], answers: Triple
) -> tuple[WorstItem, ...]:
    """Choose the worst items.

    Args:
        goal: What is told.
        labels: The names of the K outputs.
        items: The names of the N items.
        answers: Targets and outputs.

    Returns:
        At most 12, the worst first: of classes and labels the lost items of which the reference
        was surest, of numbers those whose error grew most.
    """
    match goal:
        case "regression":
            chosen = _numbers(items, answers)
        case "multi-label":
            chosen = _label_sets(labels, items, answers)
        case _:
            chosen = _classes(labels, items, answers)
    return tuple(chosen)


def inputs_of(worst: tuple[WorstItem, ...], inputs: np.ndarray) -> np.ndarray:
    """Take the inputs of the worst items that a bundle keeps to show them.

    Args:
        worst: The items.
        inputs: (N, ...) of all items.

    Returns:
        (W, ...), the first of them: those that take 2 MiB or less together.
    """
    fitting = MOST_INPUT_BYTES // max(1, inputs[0].nbytes)
    places = [one.index for one in worst[:fitting]]
    return np.ascontiguousarray(inputs[places])


def _classes(labels: Labels, items: tuple[str, ...], answers: Triple) -> list[WorstItem]:
    targets, reference, model = answers
    called, calls = reference.argmax(axis=1), model.argmax(axis=1)
    lost = np.flatnonzero((called == targets) & (calls != targets))
    with np.errstate(invalid="ignore"):  # an output that is not finite has no share
        before, after = softmax(reference[lost]), softmax(model[lost])
    sure, still = before.max(axis=1, initial=0.0), after.max(axis=1, initial=0.0)
    return [
        WorstItem(
            item=_short(items[lost[place]]),
            index=int(lost[place]),
            truth=(labels[targets[lost[place]]],),
            reference=(labels[called[lost[place]]],),
            model=(labels[calls[lost[place]]],),
            reference_share=_share(sure[place]),
            model_share=_share(still[place]),
        )
        for place in _largest(sure)
    ]


def _label_sets(labels: Labels, items: tuple[str, ...], answers: Triple) -> list[WorstItem]:
    targets, reference, model = answers
    wanted, given, gives = targets > 0, reference >= 0, model >= 0
    worse = (gives != wanted).sum(axis=1) > (given != wanted).sum(axis=1)
    lost = np.flatnonzero(worse)
    # The share that each model gives to what it tells of a label: yes or no.
    fallen = (given == wanted)[lost] & (gives != wanted)[lost]
    before = np.where(fallen, sigmoid(np.abs(reference[lost])), -1.0)
    after = sigmoid(np.abs(model[lost]))
    sure = before.max(axis=1, initial=-1.0)
    found = []
    for place in _largest(sure):
        index, label = int(lost[place]), int(before[place].argmax())
        found.append(
            WorstItem(
                item=_short(items[index]),
                index=index,
                truth=_names(labels, wanted[index]),
                reference=_names(labels, given[index]),
                model=_names(labels, gives[index]),
                reference_share=_share(sure[place]),
                model_share=_share(after[place, label]),
            )
        )
    return found


def _numbers(items: tuple[str, ...], answers: Triple) -> list[WorstItem]:
    truth, reference, model = (part.reshape(-1).astype(np.float64) for part in answers)
    before = np.abs(reference - truth)
    growth = np.abs(model - truth) - before
    growth[~np.isfinite(growth)] = -np.inf
    grown = _largest(growth)
    return [
        WorstItem(
            item=_short(items[index]),
            index=index,
            truth=float(truth[index]),
            reference=float(reference[index]),
            model=float(model[index]),
        )
        for index in grown
        if growth[index] > NO_GROWTH * before.mean()
    ]


def _largest(values: np.ndarray) -> list[int]:
    order = np.argsort(-values, kind="stable")
    return [int(place) for place in order[:MOST_ITEMS]]


def _names(labels: Labels, has: np.ndarray) -> Told:
    return tuple(label for label, one in zip(labels, has.tolist(), strict=True) if one)


def _share(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
