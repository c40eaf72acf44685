"""ONNX on the wire: walk a model's protobuf and refuse tensors that live in other files.

ONNX Runtime follows a tensor's `external_data` to wherever it points. The walk sees every tensor
that the format can hold and parses nothing else; what a lenient parser might read in another way
(groups, over-long tags, lengths past the end) is refused.
Source: field numbers from onnx.proto (IR version 13) and the protobuf encoding guide.
"""

from collections.abc import Iterator
from typing import NoReturn

from diptych.core.errors import BundleError

CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
MALFORMED = "do not use this bundle"
EXTERNAL_DATA = 13
DATA_LOCATION = 14
MAX_FIELDS = 500_000
MAX_DEPTH = 64
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
WIDTHS = {FIXED64: 8, FIXED32: 4}


def refuse_external_data(data: bytes) -> None:
    """Check that a model holds all of its tensors itself.

    Args:
        data: A serialized ONNX ``ModelProto``.

    Raises:
        BundleError: If a tensor lives in another file, or the bytes are not plain protobuf.
    """
    pending = [("model", 0, len(data), 0)]
    num_fields = 0
    while pending:
        kind, start, end, depth = pending.pop()
        if depth > MAX_DEPTH:
            _refuse("it is nested too deeply")
        for number, wire, first, last in _fields(data, start, end):
            num_fields += 1
            if num_fields > MAX_FIELDS:
                _refuse("it has too many parts")
            if kind == "tensor":
                _check_tensor_field(data, number, wire, first)
            child = CHILDREN[kind].get(number)
            if child and wire == DELIMITED:
                pending.append((child, first, last, depth + 1))


def _check_tensor_field(data: bytes, number: int, wire: int, first: int) -> None:
    stored_elsewhere = number == DATA_LOCATION and (wire != VARINT or data[first] != 0)
    if number == EXTERNAL_DATA or stored_elsewhere:
        raise BundleError(
            "the ONNX program keeps tensors in another file",
            "export it with its weights inside the file (of torch: external_data=False)",
        )


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    # Each is (number, wire type, first byte of its content, byte after the last).
    at = start
    while at < end:
        tag, at = _varint(data, at, end, 5)
        wire, first = tag & 7, at
        if wire == VARINT:
            _, at = _varint(data, at, end, 10)
        elif wire == DELIMITED:
            length, first = _varint(data, at, end, 5)
            at = first + length
        elif wire in WIDTHS:
            at += WIDTHS[wire]
        else:
            _refuse(f"it has a field of wire type {wire}")
        if at > end or not 0 < tag >> 3 < 1 << 29:
            _refuse("a field leaves its message")
        yield tag >> 3, wire, first, at


def _varint(data: bytes, at: int, end: int, longest: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : min(at + longest, end)]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise BundleError("the ONNX program is malformed: a number is cut short", MALFORMED)


def _refuse(reason: str) -> NoReturn:
    raise BundleError(f"the ONNX program is malformed: {reason}", MALFORMED)
