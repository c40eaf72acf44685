"""Answers as people and programs read them: a line, a row of CSV, a line of JSON, per goal."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from diptych.core.errors import ConfigError
from diptych.core.values import Goal
from diptych.tasks.prediction import Prediction

Labels = tuple[str, ...]
Encoder = Callable[[Iterable[Prediction], Labels, Goal], Iterator[bytes]]
Cells = list[object]
JOINT = "|"


def line(answer: Prediction, goal: Goal) -> str:
    """Write an answer for people.

    Args:
        answer: The answer.
        goal: What it is of.

    Returns:
        Input and answer with tabs between: a label with its score, several labels, or a value.
    """
    name = " ".join(answer.input.split())
    return "\t".join([name, *SHOWN[goal](answer)])


def _show_class(answer: Prediction) -> list[str]:
    return [answer.label, f"{answer.score:.4f}"]


def _show_labels(answer: Prediction) -> list[str]:
    return [JOINT.join(answer.labels or ())]


def _show_value(answer: Prediction) -> list[str]:
    return [f"{answer.value:.6g}"]


SHOWN: Mapping[Goal, Callable[[Prediction], list[str]]] = {
    "classification": _show_class,
    "ordinal": _show_class,
    "multi-label": _show_labels,
    "regression": _show_value,
}


def encoder(out: Path | None) -> Encoder:
    """Choose how a file of answers is written.

    Args:
        out: The file, if any.

    Returns:
        A function from answers to the file's lines.

    Raises:
        ConfigError: If the name of the file does not say how.
    """
    suffix = ".jsonl" if out is None else out.suffix.lower()
    if suffix not in ENCODERS:
        raise ConfigError(f"cannot write {str(out)!r}", f"end --out with {' or '.join(ENCODERS)}")
    return ENCODERS[suffix]


def _as_jsonl(answers: Iterable[Prediction], _labels: Labels, _goal: Goal) -> Iterator[bytes]:
    for answer in answers:
        yield msgspec.json.encode(answer) + b"\n"


def _as_csv(answers: Iterable[Prediction], labels: Labels, goal: Goal) -> Iterator[bytes]:
    names, cells = COLUMNS[goal]
    scores = [] if goal == "regression" else [f"score:{label}" for label in labels]
    yield _csv_line(["input", *names, *scores])
    for answer in answers:
        yield _csv_line([answer.input, *cells(answer), *answer.scores.values()])


ENCODERS: Mapping[str, Encoder] = {".csv": _as_csv, ".jsonl": _as_jsonl}
CLASS: tuple[Labels, Callable[[Prediction], Cells]] = (
    ("label", "score"),
    lambda answer: [answer.label, answer.score],
)
COLUMNS: Mapping[Goal, tuple[Labels, Callable[[Prediction], Cells]]] = {
    "classification": CLASS,
    "ordinal": CLASS,
    "multi-label": (("labels",), lambda answer: [JOINT.join(answer.labels or ())]),
    "regression": (("value",), lambda answer: [answer.value]),
}


def _csv_line(cells: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
