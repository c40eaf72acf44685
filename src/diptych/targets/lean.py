"""Make a LiteRT program small, without changing what it computes.

What only a person reads is dropped: long names, signatures, what tools wrote about themselves. The
zero points of weights and biases, one for each channel and all 0, are stored once for each number
of channels.
"""

from typing import Any

import numpy as np

from diptych.core.extras import require

SCHEMA = "ai_edge_litert.schema_py_generated"
EXTRA = "edge"
IDENTIFIER = b"TFL3"


def lean(content: bytes) -> bytes:
    """Make a program small.

    Args:
        content: Of a ``.tflite`` file.

    Returns:
        The content of a file that answers the same, bit for bit.
    """
    schema, flatbuffers = require(SCHEMA, EXTRA), require("flatbuffers", EXTRA)
    model = schema.ModelT.InitFromPackedBuf(content)
    model.description = b""
    model.metadata, model.signatureDefs = [], []
    zeros: dict[bytes, int] = {}
    for graph in model.subgraphs:
        ends = {*graph.inputs, *graph.outputs}
        for place, tensor in enumerate(graph.tensors):
            if place not in ends:
                tensor.name = b""
            if tensor.quantization is not None and tensor.quantization.scale is not None:
                tensor.quantization = _Scales(tensor.quantization, schema, zeros)
    used = {0, *(tensor.buffer for graph in model.subgraphs for tensor in graph.tensors)}
    places = {old: new for new, old in enumerate(sorted(used))}
    model.buffers = [model.buffers[old] for old in places]
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = places[tensor.buffer]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


class _Scales:
    """The scales and zero points of a tensor, written so that equal zero points are shared.

    Args:
        held: A tensor's, as it was read.
        schema: LiteRT's.
        zeros: Where those are that were written, by their content.
    """

    def __init__(self, held: Any, schema: Any, zeros: dict[bytes, int]) -> None:  # noqa: ANN401
        self.held, self.schema, self.zeros = held, schema, zeros

    def Pack(self, builder: Any) -> int:  # noqa: ANN401, N802  # as the schema calls it
        """Write them into a buffer; return where."""
        points = np.asarray(self.held.zeroPoint, np.int64)
        if points.tobytes() not in self.zeros:
            self.zeros[points.tobytes()] = builder.CreateNumpyVector(points)
        scales = builder.CreateNumpyVector(np.asarray(self.held.scale, np.float32))
        self.schema.QuantizationParametersStart(builder)
        self.schema.QuantizationParametersAddScale(builder, scales)
        self.schema.QuantizationParametersAddZeroPoint(builder, self.zeros[points.tobytes()])
        dimension = self.held.quantizedDimension
        self.schema.QuantizationParametersAddQuantizedDimension(builder, dimension)
        place: int = self.schema.QuantizationParametersEnd(builder)
        return place
