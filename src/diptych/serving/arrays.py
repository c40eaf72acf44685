"""Arrays of numbers in JSON, read by their declared type so that nothing else is ever built.

Shapes: N batch, H height, W width, C channels, T samples of sound.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.json import Decoder

from diptych.core.errors import DataError
from diptych.serving.messages import RequestError

Forms = Mapping[int, Decoder[Any]]
"""The decoder for each depth that is allowed."""
Lists = list[Any]

SCANNED_BYTES = 256
SYNTAX = "send arrays in arrays of numbers, such as [[0, 255], [128, 7]]"


def _forms(number: Any, least: int, most: int) -> Forms:  # noqa: ANN401  a type is told by a value
    forms, kind = {}, number
    for depth in range(1, most + 1):
        kind = Annotated[list[kind], Meta(min_length=1)]  # type: ignore[valid-type]
        if depth >= least:
            forms[depth] = Decoder(kind)
    return forms


def _integer(bits: int, *, signed: bool) -> Any:  # noqa: ANN401
    half = 1 << (bits - 1)
    low, high = (-half, half - 1) if signed else (0, 2 * half - 1)
    return Annotated[int, Meta(ge=low, le=high)]


PICTURES = _forms(_integer(8, signed=False) | Annotated[float, Meta(ge=0, le=255)], 2, 4)
SOUNDS = _forms(_integer(16, signed=True) | float, 1, 2)
TENSORS: Mapping[str, Forms] = {
    "uint8": _forms(_integer(8, signed=False), 1, 9),
    "int16": _forms(_integer(16, signed=True), 1, 9),
    "int32": _forms(_integer(32, signed=True), 1, 9),
    "int64": _forms(_integer(64, signed=True), 1, 9),
    "float32": _forms(float | None, 1, 9),
}
"""By the type of the numbers; a null among floats is a NaN, which JSON cannot write."""


def parse_array(text: bytes, forms: Forms, dtype: str | None = None) -> np.ndarray:
    """Read an array of numbers.

    Args:
        text: JSON: arrays in arrays of numbers.
        forms: The decoder for each depth that is allowed.
        dtype: The type wanted.

    Returns:
        Of that type; without one int64 where all numbers are whole in their notation (3, not 3.0),
        else float64.

    Raises:
        DataError: If it is not such an array.
    """
    return array_of(parse_lists(text, forms), dtype)


def array_of(values: Lists, dtype: str | None = None) -> np.ndarray:
    """Make an array of lists.

    Args:
        values: From :func:`parse_lists`.
        dtype: The type wanted.

    Returns:
        As of :func:`parse_array`.

    Raises:
        DataError: If lists of the same level differ in length.
    """
    try:
        with np.errstate(over="ignore"):
            return np.array(values, dtype)
    except ValueError as error:
        raise DataError("the array's rows differ in length") from error


def parse_lists(text: bytes, forms: Forms) -> Lists:
    """Read numbers in lists, or in lists of lists that may differ in length.

    Args:
        text: JSON.
        forms: The decoder for each depth that is allowed.

    Returns:
        The lists.

    Raises:
        RequestError: If it is not JSON.
        DataError: If it is JSON, but not such lists.
    """
    decoder = forms.get(nesting(text))
    if decoder is None:
        _check_syntax(text)
        depths = f"{min(forms)} to {max(forms)}"
        raise DataError(f"an array of numbers, {depths} levels deep, is needed")
    try:
        with uncollected():
            lists: Lists = decoder.decode(text)
    except msgspec.ValidationError as error:
        raise DataError(f"the array cannot be used: {error}") from error
    except msgspec.DecodeError as error:
        raise RequestError(f"the body is not JSON: {error}", SYNTAX) from error
    return lists


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python from looking for cycles in JSON, which has none: of many lists most of the time.

    Yields:
        Nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def nesting(text: bytes) -> int:
    """Count the opening brackets of a JSON array before its first value.

    Args:
        text: JSON; only its beginning is looked at.

    Returns:
        How many levels of arrays it begins with.
    """
    head = b"".join(text[:SCANNED_BYTES].split())
    return len(head) - len(head.lstrip(b"["))


def _check_syntax(text: bytes) -> None:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except RecursionError as error:
        raise RequestError("the JSON is nested too deeply", SYNTAX) from error
    except ValueError as error:
        raise RequestError(f"the body is not JSON: {error}", SYNTAX) from error
