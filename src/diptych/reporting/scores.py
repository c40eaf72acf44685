"""Scores as people read them: what each is called, what it means, and its figures."""

from diptych.core.manifest import Manifest
from diptych.core.values import Estimate, Goal, Scores
from diptych.reporting.numbers import interval, measured
from diptych.tasks.goals import unit_of

UNKNOWN = "unknown"
WORDS = {"f1": "F1", "auroc": "AUROC", "r2": "R²", "rmse": "RMSE", "mae": "MAE"}
HUB_METRICS = {"auroc": "roc_auc", "r2": "r_squared"}
"""Metrics that the Hugging Face hub knows by another name."""

F1 = "the harmonic mean of precision and recall"
AUROC = "how often an item with a {0} gets a higher score for it than one without; 50 % is guessing"
CLASSES = {
    "accuracy": "The share of items that are told right.",
    "f1": f"Of each class {F1}, averaged over the classes.",
    "auroc": f"Averaged over the classes: {AUROC.format('class')}.",
    "mae": "By how many steps of the order an answer is off, on average.",
}
MEANINGS: dict[Goal, dict[str, str]] = {
    "classification": CLASSES,
    "ordinal": CLASSES,
    "multi-label": {
        "accuracy": "The share of items whose labels are all right, no more and no fewer.",
        "f1": f"Of each item {F1} of its labels, averaged over the items.",
        "auroc": f"Averaged over the labels: {AUROC.format('label')}.",
    },
    "regression": {
        "r2": "The share of the values’ variance that the answers explain: 100 % is perfect, "
        "0 % no better than always telling the mean.",
        "rmse": "The root of the mean squared error, in the unit of the values told.",
        "mae": "The mean absolute error, in the unit of the values told.",
    },
}


def word(name: str) -> str:
    """Give the word for a score inside a sentence.

    Args:
        name: The score's name.

    Returns:
        Such as ``accuracy`` or ``R²``; a user's own score keeps its name.
    """
    return WORDS.get(name, name)


def title(name: str) -> str:
    """Give the word for a score at the beginning of a line.

    Args:
        name: The score's name.

    Returns:
        Such as ``Accuracy``.
    """
    found = word(name)
    return found[:1].upper() + found[1:]


def axis(name: str) -> tuple[str, float]:
    """Give the title and the scale of a chart's axis for a score on the validation split.

    Args:
        name: The score's name.

    Returns:
        Such as ``"accuracy on validation, %"`` and 100.
    """
    percent = unit_of(name) == "fraction"
    return f"{word(name)} on validation" + ", %" * percent, 100.0 if percent else 1.0


def figure(name: str, score: Estimate) -> str:
    """Write a score.

    Args:
        name: Its name.
        score: The estimate.

    Returns:
        Such as ``"93.4 %"``; ``"unknown"`` where it could not be had.
    """
    return measured(score.value, score.low, score.high, unit_of(name)) if score.n else UNKNOWN


def figures(name: str, score: Estimate) -> tuple[str, str]:
    """Write a score, and apart from it its interval and n.

    Args:
        name: Its name.
        score: The estimate.

    Returns:
        Such as ``"93.4 %"`` and ``"92.9 to 93.9 %, n = 10,000"``.
    """
    if not score.n:
        return UNKNOWN, score.method
    return figure(name, score), f"{_bounds(name, score)}, n = {score.n:,}"


def lines(scores: Scores) -> tuple[str, ...]:
    """Write the scores of a model.

    Args:
        scores: By name, the main one first.

    Returns:
        The main one, its interval, then one line for each of the others.
    """
    (main, first), *others = scores.items()
    return (*figures(main, first), *(_line(name, score) for name, score in others))


def meanings(manifest: Manifest) -> list[tuple[str, str]]:
    """Say what the scores of a bundle mean.

    Args:
        manifest: The bundle.

    Returns:
        Titles and explanations; a user's own score is left out.
    """
    known = MEANINGS[manifest.goal]
    return [(title(name), known[name]) for name in manifest.model.scores if name in known]


def _line(name: str, score: Estimate) -> str:
    value = figure(name, score)
    if value == UNKNOWN:
        return f"{title(name)} {value}"
    return f"{title(name)} {value} ({_bounds(name, score)})"


def _bounds(name: str, score: Estimate) -> str:
    return interval(score.low, score.high, unit_of(name), n=score.n)
