"""Columns that give the answer away: alone, they tell the label of rows they were not fitted on.

Each column is cut into bins on one half of the rows, and each bin answers with the most frequent
class, or the mean, of its rows (values between bins are interpolated); the other half is the judge.
Shapes: N rows, C columns.
"""

from collections.abc import Sequence

import numpy as np

from diptych.core.seeds import generator
from diptych.core.specs import CategoryColumn, TableSpec

LEAST_ROWS = 60
MOST_ROWS = 20_000
BINS = 200
MEASURED = 20
NEARLY_ALL = 0.98
LEFT_OVER = 0.02


def find_leaks(spec: TableSpec, inputs: np.ndarray, labels: Sequence[object]) -> list[str]:
    """Look for columns that tell the label nearly perfectly.

    Args:
        spec: The columns.
        inputs: float32 (N, C), the training rows.
        labels: N labels as the source has them.

    Returns:
        A warning for each such column.
    """
    if len(inputs) < LEAST_ROWS:
        return []
    order = generator(0, "leaks").permutation(len(inputs))[:MOST_ROWS]
    targets, measured = _targets([labels[row] for row in order.tolist()])
    rows, half = inputs[order], len(order) // 2
    warnings = []
    for place, column in enumerate(spec.columns):
        words = isinstance(column, CategoryColumn)
        score, beside = _told(rows[:, place], targets, half, words=words, measured=measured)
        if score >= NEARLY_ALL and 1 - score <= LEFT_OVER * (1 - beside):
            what = "the values" if measured else "the classes"
            warnings.append(
                f"column {column.name!r} alone tells {100 * score:.1f} % of {what}: it may give "
                "the label away; take it out if it is not known when a prediction is made"
            )
    return warnings


def _told(
    column: np.ndarray, targets: np.ndarray, half: int, *, words: bool, measured: bool
) -> tuple[float, float]:
    """Return how much of the second half is told with the column, and without it."""
    if measured:
        return _explained(column, targets, half, words=words), 0.0
    bins = column.astype(np.int64) if words else _bins(column[:half], column)
    return _right(bins, targets, half)


def _targets(labels: list[object]) -> tuple[np.ndarray, bool]:
    """Return labels as numbers, and whether they are measurements."""
    numeric = all(isinstance(label, int | float) for label in labels)
    if numeric and len(set(labels)) > MEASURED:
        return np.nan_to_num(np.array(labels, np.float64)), True
    _, classes = np.unique([str(label) for label in labels], return_inverse=True)
    return classes, False


def _bins(fitted: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the bin of every number; the first is that of missing ones."""
    present = np.unique(fitted[~np.isnan(fitted)])
    if len(present) > BINS:
        present = np.unique(np.quantile(fitted[~np.isnan(fitted)], np.linspace(0, 1, BINS)))
    return np.where(np.isnan(values), 0, 1 + np.searchsorted(present, values, side="right"))


def _right(bins: np.ndarray, classes: np.ndarray, half: int) -> tuple[float, float]:
    """Return the share of right answers on the second half, with and without the column."""
    counts = np.zeros((bins.max() + 1, classes.max() + 1))
    np.add.at(counts, (bins[:half], classes[:half]), 1)
    usual = counts.sum(0).argmax()
    answers = np.where(counts.any(1), counts.argmax(1), usual)
    judged = classes[half:]
    return float((answers[bins[half:]] == judged).mean()), float((usual == judged).mean())


def _explained(column: np.ndarray, values: np.ndarray, half: int, *, words: bool) -> float:
    """Return the share of the second half's variance that the column explains."""
    mean, judged = values[:half].mean(), values[half:]
    places, group = np.unique(column[:half], return_inverse=True)
    means = np.bincount(group, values[:half]) / np.bincount(group)
    if words:
        known = np.isin(column[half:], places)
        answers = np.where(known, np.interp(column[half:], places, means), mean)
    else:
        present = ~np.isnan(places)
        answers = np.full(len(judged), mean)
        if present.any():
            answers = np.interp(column[half:], places[present], means[present])
            answers = np.where(np.isnan(answers), mean, answers)
    spread = ((judged - mean) ** 2).mean()
    return 1 - float(((judged - answers) ** 2).mean() / (spread or 1))
