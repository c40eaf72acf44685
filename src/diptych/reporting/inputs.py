"""What goes into a model, in words: for the two panels, the card and the lines that use it."""

import json
from collections import Counter
from dataclasses import dataclass

from diptych.core.specs import (
    AudioSpec,
    CategoryColumn,
    Column,
    ImageSpec,
    InputSpec,
    OwnSpec,
    TableSpec,
    TextSpec,
)
from diptych.reporting.numbers import count, plural, significant

SHOWN_COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class InputWords:
    """One input in words: what it is, its form, what a model does not see of it, and in Python."""

    item: str
    form: str
    limit: str
    code: str


def describe(spec: InputSpec) -> InputWords:
    """Describe what a model takes.

    Args:
        spec: The bundle's input.

    Returns:
        The words.
    """
    match spec:
        case ImageSpec():
            return _picture(spec)
        case AudioSpec():
            return _sound(spec)
        case TextSpec():
            return _text(spec)
        case TableSpec():
            return _row(spec)
        case OwnSpec():
            return _own(spec)


def _picture(spec: ImageSpec) -> InputWords:
    size = f"{spec.width} × {spec.height} {'grey' if spec.channels == 1 else 'color'} pixels"
    return InputWords(
        item=f"a picture of {size}",
        form=spec.tensor().item,
        limit=f"A picture is brought to {size}; finer detail is lost.",
        code='"picture.png"',
    )


def _sound(spec: AudioSpec) -> InputWords:
    seconds = f"{significant(spec.samples / spec.sample_rate, 3)} s"
    return InputWords(
        item=f"{seconds} of sound",
        form=f"{spec.samples:,} samples at {spec.sample_rate:,} Hz",
        limit=f"Of a recording the loudest {seconds} are heard, at {spec.sample_rate:,} Hz; "
        "the rest of it, and what is higher than half of that, are lost.",
        code='"recording.wav"',
    )


def _text(spec: TextSpec) -> InputWords:
    tokens = plural(spec.tokens, "token")
    return InputWords(
        item=f"a text of up to {tokens}",
        form=f"{tokens} out of {count(spec.vocabulary)}",
        limit=f"Of a text the first {tokens} are read; what follows is not.",
        code='"the text"',
    )


def _row(spec: TableSpec) -> InputWords:
    kinds = Counter(column.__struct_config__.tag for column in spec.columns)
    return InputWords(
        item=f"a row of {plural(len(spec.columns), 'column')}",
        form=", ".join(_column_count(str(kind), number) for kind, number in kinds.items()),
        limit="A column that is absent or blank counts as missing, and so does a word that was "
        "not in the training data.",
        code=f"{{{', '.join(_cell(column) for column in _plain_columns(spec))}}}",
    )


def _own(spec: OwnSpec) -> InputWords:
    return InputWords(
        item=f"an item of {spec.task}",
        form=spec.tensor().item,
        limit=f"An item is decoded by the task {spec.task}, whose code is not in the bundle.",
        code='"item"',
    )


def _column_count(kind: str, number: int) -> str:
    if kind == "category" and number > 1:
        return f"{count(number)} categories"
    return plural(number, kind)


def _plain_columns(spec: TableSpec) -> list[Column]:
    return [column for column in spec.columns if _is_plain(column.name)][:SHOWN_COLUMNS]


def _cell(column: Column) -> str:
    name = _quoted(column.name)
    if column.__struct_config__.tag == "number":
        return f"{name}: 1.5"
    values = column.values if isinstance(column, CategoryColumn) else ()
    value = next((value for value in values if _is_plain(value)), None)
    return f"{name}: {_quoted(value)}" if value else f"{name}: None"


def _is_plain(words: str) -> bool:
    """Say whether words stay as they are in a line, and cannot end a block of code in Markdown."""
    return words.isprintable() and words == " ".join(words.split()) and "`" not in words


def _quoted(words: str) -> str:
    return json.dumps(words, ensure_ascii=False)  # a JSON string is one of Python
