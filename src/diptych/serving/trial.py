"""A place on the page to try a model: a file to drop, a text to write, a row to fill in."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from diptych.core.specs import (
    AudioSpec,
    CategoryColumn,
    Column,
    DateColumn,
    ImageSpec,
    OwnSpec,
    TableSpec,
    TextSpec,
)
from diptych.inference.bundle import Bundle
from diptych.tasks.dates import example_of
from diptych.tasks.originals import original

MOST_FIELDS = 40
MOST_VALUES = 200
SHOWN_CELLS = 3


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is shown of one kind of input: the form as HTML, what it takes, and a command."""

    form: str
    takes: str
    command: str


def trial(bundle: Bundle) -> Trial:
    """Make the place to try a model.

    Args:
        bundle: The model.

    Returns:
        What fits its kind of input.
    """
    spec = bundle.manifest.input
    return TRIALS[type(spec)](spec, bundle)


def template(name: str) -> Template:
    """Read a part of the page.

    Args:
        name: The file's name.

    Returns:
        Its text, with places to fill.
    """
    return Template(files("diptych.serving").joinpath(name).read_text(encoding="utf-8"))


def _image(spec: ImageSpec, _bundle: Bundle) -> Trial:
    sides = f"{spec.height} × {spec.width} × {spec.channels} pixels"
    return Trial(
        form=_drop("picture", "image/*"), takes=sides, command=_curl("@picture.png", "image/png")
    )


def _audio(spec: AudioSpec, _bundle: Bundle) -> Trial:
    seconds = spec.samples / spec.sample_rate
    return Trial(
        form=_drop("sound", "audio/*"),
        takes=f"{seconds:.3g} s of sound at {spec.sample_rate:,} samples per second",
        command=_curl("@sound.wav", "audio/wav"),
    )


def _own(spec: OwnSpec, _bundle: Bundle) -> Trial:
    return Trial(
        form=_drop("file", ""),
        takes=f"files of the task {spec.task}",
        command=_curl("@file", "application/octet-stream"),
    )


def _text(spec: TextSpec, _bundle: Bundle) -> Trial:
    return Trial(
        form=template("trial_text.html").substitute(),
        takes=f"texts, their first {spec.tokens:,} pieces of words",
        command=_curl("a text", "text/plain"),
    )


def _row(spec: TableSpec, bundle: Bundle) -> Trial:
    restore = original(spec, {})
    found = restore(bundle.golden().inputs[0]) if restore else {}
    example = found if isinstance(found, dict) else {}
    shown = spec.columns[:MOST_FIELDS]
    fields = "\n".join(_field(column, example[column.name]) for column in shown)
    left = len(spec.columns) - len(shown)
    more = f'<p class="quiet">{left} more columns count as missing.</p>' if left else ""
    cells = {name: cell for name, cell in example.items() if cell is not None}
    some = dict(list(cells.items())[:SHOWN_CELLS])
    return Trial(
        form=template("trial_row.html").substitute(fields=fields, more=more),
        takes=f"rows of {len(spec.columns):,} columns",
        command=_curl(json.dumps(some, ensure_ascii=False), "application/json"),
    )


TRIALS: Mapping[type, Callable[[Any, Bundle], Trial]] = {
    ImageSpec: _image,
    AudioSpec: _audio,
    TextSpec: _text,
    TableSpec: _row,
    OwnSpec: _own,
}


def _drop(noun: str, accept: str) -> str:
    return template("trial_file.html").substitute(noun=noun, accept=accept)


def _curl(data: str, media: str) -> str:
    flag = "--data-binary" if data.startswith("@") else "-d"
    return f"curl {flag} {shlex.quote(data)} \\\n  -H 'content-type: {media}'"


def _field(column: Column, cell: object) -> str:
    shown = "" if cell is None else f"{cell:.7g}" if isinstance(cell, float) else str(cell)
    name = escape(column.name)
    kind, extra = 'inputmode="decimal"', ""
    if isinstance(column, CategoryColumn):
        values = "".join(f'<option value="{escape(v)}">' for v in column.values[:MOST_VALUES])
        kind, extra = "", f"<datalist>{values}</datalist>"
    if isinstance(column, DateColumn):
        kind = f'placeholder="{escape(example_of(column.format))}"'
    entry = f'<input name="{name}" value="{escape(shown)}" autocomplete="off" {kind}>'
    return f"<label><span>{name}</span>{entry}{extra}</label>"
