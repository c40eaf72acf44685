"""The Open Inference Protocol, version 2, over REST: what the server says.

Shapes: N batch, K outputs.
"""

import struct
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType

from diptych.core.specs import TensorSpec
from diptych.serving.messages import BINARY, Response
from diptych.serving.protocol_v2 import DATATYPES, InferRequest, OutputChoice

MODEL_VERSION = "1"
EXTENSIONS = ("binary_tensor_data", "classification")
LENGTH_HEADER = b"inference-header-content-length"


class _Tensor(Struct, frozen=True):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] | UnsetType = UNSET
    data: list[float] | list[str] | UnsetType = UNSET


class _Answer(Struct, frozen=True):
    model_name: str
    model_version: str
    outputs: list[_Tensor]
    id: str | UnsetType = UNSET


def server_metadata() -> dict[str, object]:
    """Describe the server.

    Returns:
        The document of ``GET /v2``.
    """
    return {"name": "diptych", "version": version("diptych"), "extensions": EXTENSIONS}


def model_metadata(
    name: str, runtime: str, spec: TensorSpec, offered: Sequence[str], num_outputs: int
) -> dict[str, object]:
    """Describe a model.

    Args:
        name: The name it is served under.
        runtime: The runtime that runs it.
        spec: The tensor that it takes.
        offered: The names of the tensors that it gives.
        num_outputs: K.

    Returns:
        The document of ``GET /v2/models/NAME``.
    """
    taken = {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": (-1, *spec.shape[1:])}
    given = [{"name": item, "datatype": "FP32", "shape": (-1, num_outputs)} for item in offered]
    return {
        "name": name,
        "versions": [MODEL_VERSION],
        "platform": f"diptych_{runtime}",
        "inputs": [taken],
        "outputs": given,
    }


def encode(
    asked: InferRequest, name: str, tensors: Mapping[str, np.ndarray], labels: Sequence[str]
) -> Response:
    """Write the answer to a request.

    Args:
        asked: The request.
        name: The model's name.
        tensors: Each output that may be asked for, float32 (N, K).
        labels: The names of the outputs.

    Returns:
        JSON, or a JSON header and then the tensors' bytes where any was asked for as binary.
    """
    outputs: list[_Tensor] = []
    tail: list[bytes] = []
    for choice in asked.outputs:
        tensor, data = _tensor(choice, tensors[choice.name], labels)
        outputs.append(tensor)
        tail.append(data)
    answer = _Answer(name, MODEL_VERSION, outputs, UNSET if asked.id is None else asked.id)
    header = msgspec.json.encode(answer)
    if not any(choice.binary for choice in asked.outputs):
        return Response(body=header)
    length = (LENGTH_HEADER, str(len(header)).encode())
    return Response(body=b"".join([header, *tail]), media=BINARY, headers=(length,))


def _tensor(
    choice: OutputChoice, array: np.ndarray, labels: Sequence[str]
) -> tuple[_Tensor, bytes]:
    if choice.classes:
        return _text_tensor(choice, _largest(array, choice.classes, labels))
    if not choice.binary:
        return _Tensor(choice.name, "FP32", array.shape, data=array.ravel().tolist()), b""
    data = array.astype("<f4", copy=False).tobytes()
    parameters = {"binary_data_size": len(data)}
    return _Tensor(choice.name, "FP32", array.shape, parameters), data


def _text_tensor(choice: OutputChoice, rows: list[list[str]]) -> tuple[_Tensor, bytes]:
    shape = (len(rows), len(rows[0]))
    texts = [text for row in rows for text in row]
    if not choice.binary:
        return _Tensor(choice.name, "BYTES", shape, data=texts), b""
    encoded = [text.encode() for text in texts]
    data = b"".join(struct.pack("<I", len(item)) + item for item in encoded)
    return _Tensor(choice.name, "BYTES", shape, {"binary_data_size": len(data)}), data


def _largest(array: np.ndarray, num_classes: int, labels: Sequence[str]) -> list[list[str]]:
    order = np.argsort(-array, axis=1, kind="stable")[:, :num_classes]
    return [
        [f"{row[index]:f}:{index}:{labels[index]}" for index in best]
        for row, best in zip(array, order, strict=True)
    ]
