"""Arrays of pixels in JSON, read by their declared type so that nothing else is ever built.

Shapes: N batch, H height, W width, C channels.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.json import Decoder

from diptych.core.errors import DataError
from diptych.serving.messages import RequestError

Integer = Annotated[int, Meta(ge=0, le=255)]
Number = Integer | Annotated[float, Meta(ge=0, le=255)]
Filled = Meta(min_length=1)
Integers = Annotated[list[Integer], Filled]
IntegerRows = Annotated[list[Integers], Filled]
IntegerStack = Annotated[list[IntegerRows], Filled]
NumberRows = Annotated[list[Annotated[list[Number], Filled]], Filled]
NumberStack = Annotated[list[NumberRows], Filled]

Forms = Mapping[int, Decoder[Any]]
PICTURES: Forms = {
    2: Decoder(NumberRows),
    3: Decoder(NumberStack),
    4: Decoder(Annotated[list[NumberStack], Filled]),
}
TENSORS: Forms = {
    1: Decoder(Integers),
    2: Decoder(IntegerRows),
    3: Decoder(IntegerStack),
    4: Decoder(Annotated[list[IntegerStack], Filled]),
}
SCANNED_BYTES = 256
SYNTAX = "send arrays in arrays of numbers, such as [[0, 255], [128, 7]]"


def parse_array(text: bytes, forms: Forms) -> np.ndarray:
    """Read an array of pixels.

    Args:
        text: JSON: arrays in arrays of numbers from 0 to 255.
        forms: The decoder for each depth that is allowed.

    Returns:
        uint8 where all numbers are whole in their notation (3, not 3.0), else float64.

    Raises:
        RequestError: If it is not JSON.
        DataError: If it is JSON, but not such an array.
    """
    decoder = forms.get(nesting(text))
    if decoder is None:
        _check_syntax(text)
        depths = f"{min(forms)} to {max(forms)}"
        raise DataError(f"an array of numbers, {depths} levels deep, is needed")
    try:
        values = np.array(decoder.decode(text))
    except msgspec.ValidationError as error:
        raise DataError(f"the array cannot be used: {error}") from error
    except msgspec.DecodeError as error:
        raise RequestError(f"the body is not JSON: {error}", SYNTAX) from error
    except ValueError as error:
        raise DataError("the array's rows differ in length") from error
    return values.astype(np.uint8) if values.dtype.kind == "i" else values


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
