"""What comes out of a model, in words: what it can tell, how well it does, and one answer."""

from dataclasses import dataclass

from diptych.core.manifest import Manifest
from diptych.reporting import scores
from diptych.reporting.numbers import count, plural, significant
from diptych.tasks.prediction import Prediction

SHOWN_LABELS = 3
NONE = "none of the labels"
RIGHT = {"classification", "ordinal"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer in words, and the probability beside it where there is one."""

    text: str
    detail: str = ""


def told(manifest: Manifest) -> str:
    """Say what comes out.

    Args:
        manifest: The bundle.

    Returns:
        Such as ``one of 10 labels out: a, b, c, …``.
    """
    labels = manifest.labels
    match manifest.goal:
        case "regression":
            return f"one number out: {labels[0]}"
        case "ordinal":
            return f"one of {plural(len(labels), 'step')} out, from {labels[0]} to {labels[-1]}"
        case "multi-label":
            return f"any of {plural(len(labels), 'label')} out: {_few(labels)}"
        case "classification":
            return f"one of {plural(len(labels), 'label')} out: {_few(labels)}"


def achievement(manifest: Manifest) -> str:
    """Say how well the model does on the test split.

    Args:
        manifest: The bundle.

    Returns:
        Such as ``is right on 93.4 % of 10,000 test items``.
    """
    name, score = manifest.score_name, manifest.model.score
    if not score.n:
        return f"has no {scores.word(name)} on the test split ({score.method})"
    share, items = scores.figure(name, score), f"{score.n:,} test items"
    if name == "accuracy" and manifest.goal in RIGHT:
        return f"is right on {share} of {items}"
    if name == "r2" and score.value > 0:
        return (
            f"explains {share} of the variance of {manifest.labels[0]} on {items}{_error(manifest)}"
        )
    return f"reaches {_article(name)} of {share} on {items}{_error(manifest)}"


def write(prediction: Prediction) -> Answer:
    """Write an answer.

    Args:
        prediction: What the model says of one input.

    Returns:
        The label and its probability, the labels, or the number.
    """
    if prediction.value is not None:
        return Answer(text=significant(prediction.value, 4))
    if prediction.labels is None:
        return Answer(text=prediction.label, detail=f"{prediction.score:.2f}")
    if prediction.labels:
        shares = (f"{prediction.scores[label]:.2f}" for label in prediction.labels)
        return Answer(text=", ".join(prediction.labels), detail=", ".join(shares))
    best = max(prediction.scores, key=lambda label: prediction.scores[label])
    return Answer(text=NONE, detail=f"likeliest: {best} {prediction.scores[best]:.2f}")


def _few(labels: tuple[str, ...]) -> str:
    more = ", …" if len(labels) > SHOWN_LABELS else ""
    return ", ".join(labels[:SHOWN_LABELS]) + more


def _article(name: str) -> str:
    found = scores.word(name)
    return f"{'an' if found.startswith(('F1', 'R²', 'a', 'e', 'i', 'o')) else 'a'} {found}"


def _error(manifest: Manifest) -> str:
    error = manifest.model.scores.get("rmse")
    return f" (RMSE {scores.figure('rmse', error)})" if error else ""


def known(manifest: Manifest, most: int = 50) -> str:
    """Say what the model knows, and that it knows nothing else.

    Args:
        manifest: The bundle.
        most: How many labels to name.

    Returns:
        One sentence.
    """
    labels = manifest.labels
    if manifest.goal == "regression":
        return f"It tells one number, {labels[0]}, and nothing else."
    more = f" and {count(len(labels) - most)} more" if len(labels) > most else ""
    kind = {"ordinal": ", in this order", "multi-label": ", any number of them at once"}
    return (
        f"It knows {plural(len(labels), 'label')} and nothing else{kind.get(manifest.goal, '')}: "
        f"{', '.join(labels[:most])}{more}."
    )
