"""The way back from a prepared input to one as a user has it: PNG, WAV, text, or a row.

Shapes: H height, W width, C channels or columns, T samples, L tokens.
"""

import io
import math
import wave
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from diptych.core.specs import (
    AudioSpec,
    CategoryColumn,
    Column,
    DateColumn,
    ImageSpec,
    InputSpec,
    TableSpec,
    TextSpec,
)
from diptych.core.values import Assets
from diptych.tasks.dates import DAY, EPOCH, ISO
from diptych.tasks.text import speller

Original = Callable[[np.ndarray], bytes | str | dict[str, object]]


def original(spec: InputSpec, assets: Assets) -> Original | None:
    """Make what turns prepared inputs back.

    Args:
        spec: What was prepared.
        assets: The files that go with it.

    Returns:
        A function from one prepared item to what preparation makes the same of (a text's spelling
        may differ); None for a user's own task, whose items only it knows.
    """
    make = ORIGINALS.get(type(spec))
    return None if make is None else make(spec, assets)


def _picture(_spec: ImageSpec, _assets: Assets) -> Original:
    def encode(pixels: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
        return buffer.getvalue()

    return encode


def _sound(spec: AudioSpec, _assets: Assets) -> Original:
    def encode(samples: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(spec.sample_rate)
            file.writeframes(samples.astype("<i2").tobytes())
        return buffer.getvalue()

    return encode


def _text(spec: TextSpec, assets: Assets) -> Original:
    spell = speller(spec, assets)
    return lambda tokens: "".join(spell(tokens))


def _row(spec: TableSpec, _assets: Assets) -> Original:
    def decode(values: np.ndarray) -> dict[str, object]:
        pairs = zip(spec.columns, values.tolist(), strict=True)
        return {column.name: _cell(column, value) for column, value in pairs}

    return decode


def _cell(column: Column, value: float) -> object:
    if math.isnan(value):
        return None
    if isinstance(column, CategoryColumn):
        return column.values[int(value) - 1] if 1 <= value <= len(column.values) else None
    if isinstance(column, DateColumn):
        return _date(column.format, value)
    return float(str(np.float32(value)))  # the fewest digits that give the same again


def _date(form: str, days: float) -> str | None:
    try:
        moment = EPOCH + round(days * 86_400) * (DAY / 86_400)
    except OverflowError:
        return None
    if form != ISO:
        return moment.strftime(form)
    return moment.date().isoformat() if days.is_integer() else moment.isoformat()


ORIGINALS: Mapping[type, Callable[[Any, Assets], Original]] = {
    ImageSpec: _picture,
    AudioSpec: _sound,
    TextSpec: _text,
    TableSpec: _row,
}
