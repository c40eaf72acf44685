"""``diptych evaluate``: how right a bundle is on labelled data."""

from diptych.cli.options import (
    BundleArgument,
    DataArgument,
    JsonOption,
    LabelOption,
    SkipOption,
)
from diptych.cli.output import print_json, progress, table
from diptych.core.text import quantity
from diptych.core.values import Estimate
from diptych.fitting.evaluate import Evaluation, evaluate

SHOWN_CLASSES = 12


def command(
    bundle: BundleArgument,
    data: DataArgument,
    label: LabelOption = None,
    skip_unreadable: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a bundle: accuracy with its interval, classes, and what is taken for what."""
    with progress() as report:
        result = evaluate(bundle, data, label=label, skip_unreadable=skip_unreadable, report=report)
    if as_json:
        print_json(result)
    else:
        print(summary(result))


def summary(result: Evaluation) -> str:
    """Lay an evaluation out for people.

    Args:
        result: The evaluation.

    Returns:
        Accuracy, the classes, and the confusion matrix where it is small.
    """
    low, high = quantity(result.low, "fraction"), quantity(result.high, "fraction")
    lines = [
        (
            f"accuracy {quantity(result.accuracy, 'fraction')} "
            f"(95 % interval {low} to {high}, n {result.n:,}, {result.items})"
        ),
        "",
        _classes(result),
    ]
    if len(result.per_class) <= SHOWN_CLASSES:
        lines += ["", _confusion(result)]
    return "\n".join(lines)


def _classes(result: Evaluation) -> str:
    rows = [
        (score.label, f"{score.n:,}", _share(score.recall), _share(score.precision))
        for score in result.per_class
    ]
    return table(("class", "n", "recall", "precision"), rows)


def _confusion(result: Evaluation) -> str:
    labels = [score.label for score in result.per_class]
    rows = [
        (label, *(str(count) for count in counts))
        for label, counts in zip(labels, result.confusion, strict=True)
    ]
    return table(("is \\ called", *labels), rows)


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return "none"
    return f"{quantity(estimate.value, 'fraction')} ± {50 * (estimate.high - estimate.low):.1f}"
