"""Calibration in words: how honest the probabilities are, before and after compression."""

from diptych.core.damage import Calibration, Damage
from diptych.reporting.numbers import interval, measured, significant

CALIBRATION_HEADER = ("", "Calibration error", "Interval", "By chance alone", "Temperature")


def calibration_rows(damage: Damage) -> tuple[tuple[str, ...], ...]:
    """Write how honest the probabilities are, before and after.

    Args:
        damage: The damage.

    Returns:
        Two rows in the order of `CALIBRATION_HEADER`; none where it is not known.
    """
    change = damage.calibration
    if change is None:
        return ()
    pairs = ((damage.reference, change.reference), (damage.model, change.model))
    return tuple((name, *_calibration_cells(one)) for name, one in pairs)


def trust(damage: Damage) -> str:
    """Say whether the model is too sure of itself.

    Args:
        damage: The damage.

    Returns:
        A sentence; empty where it is not known.
    """
    change = damage.calibration
    if change is None or not change.model.temperature.n:
        return ""
    needed = change.model.temperature
    if needed.low > 1:
        return f"The model is too sure: its logits want dividing by {_short(needed.value)}."
    if needed.high < 1:
        return f"The model could be surer: its logits want dividing by {_short(needed.value)}."
    return "The model is neither too sure nor too unsure, as far as these items can tell."


def _calibration_cells(one: Calibration) -> tuple[str, ...]:
    error, needed = one.error, one.temperature
    return (
        measured(error.value, error.low, error.high, "fraction"),
        interval(error.low, error.high, "fraction"),
        f"{significant(100 * one.floor, 2)} %",
        f"{_short(needed.value)} ({_short(needed.low)} to {_short(needed.high)})"
        if needed.n
        else "none",
    )


def _short(value: float) -> str:
    return significant(value, 3)
