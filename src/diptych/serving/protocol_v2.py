"""The Open Inference Protocol, version 2, over REST: read a request, write its answer.

A request is JSON; with the binary tensor extension the JSON is only the beginning of the body, and
the tensors' bytes follow it in the order of the tensors.
Shapes: N batch, K outputs.
Source: the Open Inference Protocol's REST description, and the binary tensor data and
classification extensions of the Triton Inference Server.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct

from diptych.core.errors import DataError
from diptych.core.specs import TensorSpec
from diptych.core.text import nearest
from diptych.serving.arrays import TENSORS, parse_array
from diptych.serving.bodies import check_items

DATATYPES: Mapping[str, str] = {
    "uint8": "UINT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float32": "FP32",
}
MAX_DIGITS = 12
HINT = "GET /v2/models/NAME says which tensors the model takes and gives"


class _InputParameters(Struct, frozen=True):
    binary_data_size: Annotated[int, Meta(ge=0)] | None = None


class _OutputParameters(Struct, frozen=True):
    binary_data: bool | None = None
    classification: Annotated[int, Meta(ge=0)] = 0


class _RequestParameters(Struct, frozen=True):
    binary_data_output: bool = False


class _Input(Struct, frozen=True):
    name: str
    datatype: str
    shape: Annotated[list[Annotated[int, Meta(ge=1, le=1 << 40)]], Meta(max_length=16)]
    parameters: _InputParameters | None = None
    data: Raw = Raw()


class _Output(Struct, frozen=True):
    name: str
    parameters: _OutputParameters | None = None


class _Envelope(Struct, frozen=True):
    inputs: Annotated[list[_Input], Meta(max_length=16)]
    id: str | None = None
    outputs: Annotated[list[_Output], Meta(max_length=16)] | None = None
    parameters: _RequestParameters | None = None


ENVELOPE = msgspec.json.Decoder(_Envelope)


@dataclass(frozen=True, kw_only=True)
class OutputChoice:
    """An output that is asked for: as bytes or JSON, whole or (above 0) its largest `classes`."""

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """What is asked: prepared items (N, ...) in, and the outputs that are wanted."""

    batch: np.ndarray
    outputs: tuple[OutputChoice, ...]
    id: str | None = None


def parse(
    body: bytes, header_length: bytes | None, spec: TensorSpec, offered: Sequence[str]
) -> InferRequest:
    """Read a request.

    Args:
        body: The whole body.
        header_length: The header ``Inference-Header-Content-Length``, if it was sent.
        spec: The tensor that the model takes.
        offered: The names of the tensors that the model gives.

    Returns:
        The request; each of its parts is checked.

    Raises:
        DataError: If anything in it is not as the protocol and the model want it.
    """
    split = _split_at(header_length, len(body))
    try:
        envelope = ENVELOPE.decode(body[:split])
    except (ValueError, RecursionError) as error:
        raise DataError(f"the request cannot be read: {error}", HINT) from error
    if len(envelope.inputs) != 1:
        raise DataError(f"the request has {len(envelope.inputs)} inputs, 1 is needed", HINT)
    tensor = envelope.inputs[0]
    _check_tensor(tensor, spec)
    return InferRequest(
        batch=_values(tensor, memoryview(body)[split:], spec.dtype),
        outputs=_outputs(envelope, offered),
        id=envelope.id,
    )


def _split_at(header_length: bytes | None, body_length: int) -> int:
    if header_length is None:
        return body_length
    usable = header_length.isdigit() and len(header_length) <= MAX_DIGITS
    if not usable or int(header_length) > body_length:
        raise DataError(
            f"Inference-Header-Content-Length is {header_length[:40].decode('latin-1')!r}, "
            f"but the body has {body_length} bytes"
        )
    return int(header_length)


def _check_tensor(tensor: _Input, spec: TensorSpec) -> None:
    if tensor.name != spec.name:
        raise DataError(f"there is no input {tensor.name[:80]!r}, only {spec.name!r}", HINT)
    datatype = DATATYPES[spec.dtype]
    if tensor.datatype != datatype:
        raise DataError(
            f"the input {spec.name!r} is {tensor.datatype[:80]!r}, it must be {datatype!r}", HINT
        )
    if tuple(tensor.shape[1:]) != spec.shape[1:] or not tensor.shape:
        wanted = ", ".join(["N", *map(str, spec.shape[1:])])
        raise DataError(f"the input {spec.name!r} has shape {tensor.shape}, not [{wanted}]", HINT)
    check_items(tensor.shape[0])


def _values(tensor: _Input, binary: memoryview, dtype: str) -> np.ndarray:
    announced = (tensor.parameters or _InputParameters()).binary_data_size
    if len(binary) != (announced or 0):
        raise DataError(
            f"binary_data_size is {announced or 0}, but {len(binary)} bytes follow the JSON header"
        )
    if announced is None:
        return _values_of_json(tensor, dtype)
    if bytes(tensor.data):
        raise DataError("the input has both data and binary_data_size", "send one of them")
    little_endian = np.dtype(dtype).newbyteorder("<")
    expected = math.prod(tensor.shape) * little_endian.itemsize
    if announced != expected:
        raise DataError(f"shape {tensor.shape} needs {expected} bytes, {announced} were sent")
    values = np.frombuffer(binary, little_endian).reshape(tensor.shape)
    return values.astype(dtype, copy=False)


def _values_of_json(tensor: _Input, dtype: str) -> np.ndarray:
    if not bytes(tensor.data):
        raise DataError("the input has neither data nor binary_data_size", "send one of them")
    values = parse_array(bytes(tensor.data), TENSORS[dtype], dtype)
    if values.shape not in ((math.prod(tensor.shape),), tuple(tensor.shape)):
        raise DataError(f"shape {tensor.shape} does not fit data of shape {list(values.shape)}")
    return values.reshape(tensor.shape)


def _outputs(envelope: _Envelope, offered: Sequence[str]) -> tuple[OutputChoice, ...]:
    binary = (envelope.parameters or _RequestParameters()).binary_data_output
    asked = envelope.outputs or [_Output(name) for name in offered]
    if len({output.name for output in asked}) != len(asked):
        raise DataError("an output is asked for twice", HINT)
    for output in asked:
        if output.name not in offered:
            raise DataError(
                f"there is no output {output.name[:80]!r}", nearest(output.name[:80], offered)
            )
    return tuple(_choice(output, binary) for output in asked)


def _choice(output: _Output, binary_by_default: bool) -> OutputChoice:
    asked = output.parameters or _OutputParameters()
    binary = binary_by_default if asked.binary_data is None else asked.binary_data
    return OutputChoice(name=output.name, binary=binary, classes=asked.classification)
