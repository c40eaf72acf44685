"""``diptych evaluate``: how right a bundle is on labelled data."""

from diptych.cli.options import (
    AgainstOption,
    BundleArgument,
    DataArgument,
    JsonOption,
    LabelOption,
    NoCacheOption,
    SkipOption,
    TaskOption,
    task_of,
)
from diptych.cli.output import figure, interval, is_known, plain, print_json, progress, table
from diptych.core.text import duration, number, quantity
from diptych.core.values import Estimate
from diptych.fitting.answering import Reading
from diptych.fitting.evaluate import Evaluation, evaluate
from diptych.fitting.streaming import StreamEvaluation
from diptych.inference.bundle import load
from diptych.reporting.damage import line
from diptych.tasks.goals import unit_of

SHOWN_CLASSES = 12


def command(
    bundle: BundleArgument,
    data: DataArgument,
    against: AgainstOption = None,
    label: LabelOption = None,
    task: TaskOption = None,
    skip_unreadable: SkipOption = False,
    no_cache: NoCacheOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a bundle: scores with their intervals, classes, and what is taken for what."""
    with progress() as report:
        model = load(bundle, task=task_of(task)[1])
        reading = Reading(
            data=data,
            label=label,
            skip_unreadable=skip_unreadable,
            cache=not no_cache,
            report=report,
        )
        result = evaluate(model, reading, against=against)
    if as_json:
        print_json(document(result))
    else:
        print(summary(result))


def document(result: Evaluation) -> dict[str, object]:
    """Make the JSON document of an evaluation.

    Args:
        result: The evaluation.

    Returns:
        Its fields, with the main score by its name beside its interval's ends; what is not known
        is None.
    """
    fields = {name: plain(getattr(result, name)) for name in result.__struct_fields__}
    main = result.scores[result.score]
    value, low, high = (main.value, main.low, main.high) if is_known(main) else (None,) * 3
    return {"n": result.n, result.score: value, "low": low, "high": high} | fields


def summary(result: Evaluation) -> str:
    """Lay an evaluation out for people.

    Args:
        result: The evaluation.

    Returns:
        The scores, the damage, the classes, and the confusion matrix where it is small.
    """
    lines = [f"{result.n:,} items ({result.items})", "", _scores(result)]
    if result.damage is not None:
        against = f"damage against {result.damage.reference}"
        lines += ["", f"{against}: {line(result.damage)}"]
    if result.stream is not None:
        lines += ["", _stream(result.stream)]
    if result.per_class:
        lines += ["", _classes(result)]
    if 0 < len(result.per_class) <= SHOWN_CLASSES:
        lines += ["", _confusion(result)]
    return "\n".join(lines)


def _stream(heard: StreamEvaluation) -> str:
    rate, found = heard.false_accepts_per_hour, heard.detected
    return (
        f"as a stream of {duration(heard.seconds)}: {quantity(found.value, 'fraction')} of "
        f"{heard.recordings:,} recordings detected, {number(rate.value)} false accepts per hour "
        f"({number(rate.low)} to {number(rate.high)}) at threshold {heard.rule.threshold:g}"
    )


def _scores(result: Evaluation) -> str:
    rows = []
    for name, score in result.scores.items():
        unit = unit_of(name)
        ends = interval(score, unit) if is_known(score) else ""
        rows.append((name, figure(score, unit), ends, score.method))
    return table(("score", "value", "95 % interval", "by"), rows)


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
    return f"{figure(estimate, 'fraction')} ({interval(estimate, 'fraction')})"
