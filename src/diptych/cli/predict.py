"""`diptych predict`: files, folders, tables, texts or standard input in, answers out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from diptych.cli.answers import encoder, line
from diptych.cli.inputs import Source, open_inputs
from diptych.cli.listen import listen
from diptych.cli.output import note, print_json, progress
from diptych.core.errors import ConfigError, DataError
from diptych.core.files import replace_file
from diptych.core.progress import Reporter, Step
from diptych.core.values import Skipped
from diptych.inference.bundle import Bundle, Unreadable, load
from diptych.tasks.prediction import Prediction

SHOWN_SKIPPED = 5
QUIET_BELOW = 500
HOP_S = 0.1
INPUTS_HELP = "Files, folders, tables, texts, or - for stdin, as the bundle takes them."


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    inputs: Annotated[list[str] | None, typer.Argument(help=INPUTS_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write to this .csv or .jsonl file.")] = None,
    skip_unreadable: Annotated[bool, typer.Option(help="Leave out what cannot be read.")] = False,
    column: Annotated[str | None, typer.Option(help="The column that holds the text.")] = None,
    runtime: Annotated[str | None, typer.Option(help="Use this runtime.")] = None,
    stream: Annotated[
        str | None, typer.Option(help="Raw 16-bit mono sound as it comes: a file, or - for stdin.")
    ] = None,
    rate: Annotated[int | None, typer.Option(help="Samples per second of --stream.")] = None,
    hop: Annotated[
        float | None, typer.Option(help=f"Seconds between decisions of --stream [{HOP_S}].")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Tell only what --stream detects with this score.")
    ] = None,
) -> None:
    """Predict each input, or sound as it comes."""
    if (stream is None) == (not inputs):
        raise ConfigError("nothing to predict, or two things", "name inputs, or --stream -")
    if stream is None:
        listening = {"--rate": rate, "--hop": hop, "--threshold": threshold}
        _refuse_given(listening, "for --stream, which is not given")
    else:
        reading = {"--out": out, "--column": column, "--skip-unreadable": skip_unreadable or None}
        _refuse_given(reading, "not for --stream")
    encode = encoder(out)
    with load(bundle, runtime=runtime) as model:
        if stream is not None:
            hop_s = HOP_S if hop is None else hop
            listen(model, stream, hop_s=hop_s, rate=rate, threshold=threshold, as_json=as_json)
            return
        sources = open_inputs(inputs or [], model.manifest.input, column)
        run = _Run(model, sources, skip_unreadable=skip_unreadable)
        labels, goal = model.labels, model.manifest.goal
        with progress(run.total < QUIET_BELOW) as report:
            answers = run.answers(report)
            if out is not None:
                count = _write(out, encode(answers, labels, goal))
                _tell_written(out, count, run.skipped, as_json)
            elif as_json:
                print_json(list(answers))
            else:
                for answer in answers:
                    print(line(answer, goal))
    if not run.done:
        note("nothing was predicted: the inputs hold no items")
    _tell_skipped(run.skipped, run.done)


def _refuse_given(options: Mapping[str, object], why: str) -> None:
    """Refuse options that would have no effect; None was not given."""
    for name, value in options.items():
        if value is not None:
            seen = name if value is True else f"{name} {value}"
            raise ConfigError(f"{seen} is {why}", f"leave {name} out")


class _Run:
    """Owns the counts of what was predicted and what was skipped."""

    def __init__(self, model: Bundle, sources: Sequence[Source], *, skip_unreadable: bool) -> None:
        self.done = 0
        self.total = sum(source.count for source in sources)
        self.skipped: list[Skipped] = []
        self._items = chain.from_iterable(source.items for source in sources)
        self._model = model
        self._unreadable: Unreadable = self._skip if skip_unreadable else _refuse

    def answers(self, report: Reporter) -> Iterator[Prediction]:
        step = partial(Step, stage="predict", total=max(1, self.total))
        for answer in self._model.predict_each(self._items, self._unreadable):
            self.done += 1
            report(step(done=min(self.done, self.total - 1)))
            yield answer
        report(step(done=max(1, self.total)))

    def _skip(self, name: str, error: DataError) -> None:
        self.done += 1
        self.skipped.append(Skipped(item=name, reason=_reason(name, error)))


def _refuse(name: str, error: DataError) -> None:
    hint = f"{error.hint}; " if error.hint else ""
    raise DataError(_reason(name, error), f"{hint}--skip-unreadable leaves it out")


def _reason(name: str, error: DataError) -> str:
    return error.message if name in error.message else f"{name}: {error.message}"


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
