"""`diptych predict`: files, folders or standard input in, labels out."""

import csv
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import structs

from diptych.cli.output import note, print_json, progress
from diptych.core.errors import ConfigError, DataError
from diptych.core.files import replace_file
from diptych.core.progress import Reporter, Step
from diptych.core.values import Skipped
from diptych.inference.bundle import Bundle, load
from diptych.inference.inputs import files_in
from diptych.tasks.image import MAX_FILE_BYTES, SUFFIXES
from diptych.tasks.prediction import Prediction

STDIN = "-"
SHOWN_SKIPPED = 5
QUIET_BELOW = 500

Item = Path | bytes
Encoder = Callable[[Iterable[Prediction], tuple[str, ...]], Iterator[bytes]]


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    inputs: Annotated[list[str], typer.Argument(help="Pictures, folders of them, or - for stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write to this .csv or .jsonl file.")] = None,
    skip_unreadable: Annotated[bool, typer.Option(help="Leave out what cannot be read.")] = False,
    runtime: Annotated[str | None, typer.Option(help="Use this runtime.")] = None,
) -> None:
    """Predict the label of each input."""
    encode = _encoder(out)
    items = list(_expand(inputs))
    skipped: list[Skipped] = []
    with load(bundle, runtime=runtime) as model, progress(len(items) < QUIET_BELOW) as report:
        answers = _answers(model, items, skipped if skip_unreadable else None, report)
        if out is not None:
            count = _write(out, encode(answers, model.labels))
            _tell_written(out, count, skipped, as_json)
        elif as_json:
            print_json(list(answers))
        else:
            for answer in answers:
                print(f"{answer.input}\t{answer.label}\t{answer.score:.4f}")
    _tell_skipped(skipped, len(items))


def _expand(inputs: Sequence[str]) -> Iterator[Item]:
    for word in inputs:
        path = Path(word)
        if word == STDIN:
            yield _standard_input()
        elif path.is_dir():
            yield from files_in(path, SUFFIXES)
        elif path.exists():
            yield path
        else:
            raise DataError(f"there is no file or folder {word!r}", "check the path")


def _standard_input() -> bytes:
    data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    if not data:
        raise DataError("nothing came on standard input", "pipe one picture into it")
    return data


def _answers(
    model: Bundle, items: Sequence[Item], skipped: list[Skipped] | None, report: Reporter
) -> Iterator[Prediction]:
    unreadable = None if skipped is None else partial(_skip, skipped)
    try:
        for done, answer in enumerate(model.predict_each(items, unreadable), start=1):
            report(Step(stage="predict", done=done, total=len(items)))
            yield structs.replace(answer, input=STDIN) if answer.input[:6] == "bytes#" else answer
    except DataError as error:
        raise DataError(
            error.message, "--skip-unreadable leaves out what cannot be read"
        ) from error


def _skip(skipped: list[Skipped], name: str, error: DataError) -> None:
    skipped.append(Skipped(item=name, reason=error.message))


def _encoder(out: Path | None) -> Encoder:
    suffix = ".jsonl" if out is None else out.suffix.lower()
    if suffix not in ENCODERS:
        raise ConfigError(f"cannot write {str(out)!r}", f"end --out with {' or '.join(ENCODERS)}")
    return ENCODERS[suffix]


def _as_jsonl(answers: Iterable[Prediction], labels: tuple[str, ...]) -> Iterator[bytes]:
    for answer in answers:
        yield msgspec.json.encode(answer) + b"\n"


def _as_csv(answers: Iterable[Prediction], labels: tuple[str, ...]) -> Iterator[bytes]:
    yield _csv_line(["input", "label", "score", *(f"score:{label}" for label in labels)])
    for answer in answers:
        yield _csv_line([answer.input, answer.label, answer.score, *answer.scores.values()])


ENCODERS: dict[str, Encoder] = {".csv": _as_csv, ".jsonl": _as_jsonl}


def _csv_line(cells: Sequence[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


def _write(out: Path, lines: Iterable[bytes]) -> int:
    with replace_file(out) as file:
        return sum(file.write(line) > 0 for line in lines) - (out.suffix.lower() == ".csv")


def _tell_written(out: Path, count: int, skipped: list[Skipped], as_json: bool) -> None:
    if as_json:
        print_json({"out": str(out), "num_predictions": count, "skipped": skipped})
    else:
        note(f"{count} predictions in {out}")


def _tell_skipped(skipped: list[Skipped], num_items: int) -> None:
    for item in skipped[:SHOWN_SKIPPED]:
        note(f"skipped: {item.reason}")
    if len(skipped) > SHOWN_SKIPPED:
        note(f"and {len(skipped) - SHOWN_SKIPPED} more")
    if skipped and len(skipped) == num_items:
        raise DataError(f"none of the {num_items} inputs could be read")
