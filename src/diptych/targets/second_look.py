"""A LiteRT program that looks at the mirror image too, where it is unsure of a picture.

The program becomes a graph of its own, which is called once for the picture and, where the largest
logit leads the next one by less than a threshold, once more for its mirror image; the answer is
then the mean of the two. Its weights are in the file once. Most pictures take the time of one look.

Shapes: H height, W width, C channels, K classes; a program takes one picture at a time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.core.errors import TargetError
from diptych.core.extras import require
from diptych.core.specs import COLUMNS
from diptych.targets.lean import EXTRA, IDENTIFIER, SCHEMA, lean

MAIN, LOOK, MEAN, KEPT = range(4)
"""The graphs: what is asked, the program, the answer after a second look and that after one."""


def second_look(content: bytes, threshold: float) -> bytes:
    """Let a program look again at pictures of which it is unsure.

    Args:
        content: Of a ``.tflite`` file that maps a picture (1, H, W, C) to logits (1, K), float32.
        threshold: The least lead of the largest logit with which the first answer is kept.

    Returns:
        The content of a file with the same input and output.

    Raises:
        TargetError: If the program is not of that kind.
    """
    schema, flatbuffers = require(SCHEMA, EXTRA), require("flatbuffers", EXTRA)
    model = schema.ModelT.InitFromPackedBuf(content)
    if len(model.subgraphs) != 1:
        raise TargetError("a program of several graphs is not looked at again")
    look = model.subgraphs[0]
    picture, logits = (look.tensors[ends[0]] for ends in (look.inputs, look.outputs))
    if len(picture.shape) != 4 or logits.type != schema.TensorType.FLOAT32:
        raise TargetError("only programs from pictures to logits in float32 are looked at again")
    model.subgraphs = [
        _asked(Graph(model, schema, picture, logits), threshold),
        look,
        _mean(Graph(model, schema, picture, logits)),
        _kept(Graph(model, schema, picture, logits)),
    ]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return lean(bytes(builder.Output()))


class Graph:
    """A graph while it is made: tensors and steps are added to it, constants to its model.

    Args:
        model: The program, in the schema's own objects.
        schema: LiteRT's.
        picture: A tensor like its pictures.
        logits: A tensor like its answers.
    """

    def __init__(self, model: Any, schema: Any, picture: Any, logits: Any) -> None:  # noqa: ANN401
        self.model, self.schema = model, schema
        self.picture_like, self.logits_like = picture, logits
        self.made = schema.SubGraphT()
        self.made.tensors, self.made.operators = [], []

    def picture(self) -> int:
        """Add a picture (1, H, W, C)."""
        return self.tensor(self.picture_like.shape, self.picture_like.type)

    def logits(self) -> int:
        """Add numbers (1, K)."""
        return self.tensor(self.logits_like.shape, self.schema.TensorType.FLOAT32)

    def tensor(self, shape: Sequence[int], kind: int, buffer: int = 0) -> int:
        """Add a tensor; return its place."""
        made = self.schema.TensorT()
        made.shape, made.type, made.buffer, made.name = list(shape), kind, buffer, b""
        self.made.tensors.append(made)
        return len(self.made.tensors) - 1

    def constant(self, value: np.ndarray) -> int:
        """Add a constant of bool, int32 or float32; return its place."""
        kinds = self.schema.TensorType
        kind = {"b": kinds.BOOL, "i": kinds.INT32, "f": kinds.FLOAT32}[value.dtype.kind]
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self.tensor(value.shape, kind, len(self.model.buffers) - 1)

    def step(self, name: str, inputs: Sequence[int], *outputs: int, **settings: object) -> int:
        """Add a step by the name of its options, such as ``ReverseV2``; return its first output."""
        schema = self.schema
        made, options = schema.OperatorT(), getattr(schema, f"{name}OptionsT")()
        for setting, value in settings.items():
            setattr(options, setting, value)
        made.builtinOptions = options
        made.builtinOptionsType = getattr(schema.BuiltinOptions, f"{name}Options")
        made.inputs, made.outputs = list(inputs), list(outputs)
        made.opcodeIndex = self._code(KINDS[name])
        self.made.operators.append(made)
        return outputs[0]

    def look(self, picture: int) -> int:
        """Call the program; return its answer."""
        certain = self.constant(np.asarray(True))
        answer = self.logits()
        calls = {"thenSubgraphIndex": LOOK, "elseSubgraphIndex": LOOK}
        return self.step("If", [certain, picture], answer, **calls)

    def between(self, inputs: Sequence[int], output: int) -> Any:  # noqa: ANN401
        """Say what goes in and comes out; return the graph."""
        self.made.inputs, self.made.outputs = list(inputs), [output]
        return self.made

    def _code(self, kind: str) -> int:
        wanted, codes = getattr(self.schema.BuiltinOperator, kind), self.model.operatorCodes
        for place, code in enumerate(codes):
            if code.builtinCode == wanted:
                return place
        made = self.schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = wanted
        made.version = 1
        codes.append(made)
        return len(codes) - 1


KINDS = {
    "If": "IF",
    "TopKV2": "TOPK_V2",
    "Reducer": "SUM",
    "Less": "LESS",
    "ReverseV2": "REVERSE_V2",
    "Add": "ADD",
    "Mul": "MUL",
}


def _asked(graph: Graph, threshold: float) -> Any:  # noqa: ANN401
    """Look once, and again where that is unsure."""
    picture = graph.picture()
    first = graph.look(picture)
    kinds = graph.schema.TensorType
    two = graph.constant(np.asarray(2, np.int32))
    largest, places = (graph.tensor([1, 2], kind) for kind in (kinds.FLOAT32, kinds.INT32))
    graph.step("TopKV2", [first, two], largest, places)
    signs = graph.constant(np.array([[1, -1]], np.float32))
    signed = graph.step("Mul", [largest, signs], graph.tensor([1, 2], kinds.FLOAT32))
    classes = graph.constant(np.array([1], np.int32))
    lead = graph.step("Reducer", [signed, classes], graph.tensor([1], kinds.FLOAT32))
    limit = graph.constant(np.array([threshold], np.float32))
    unsure = graph.step("Less", [lead, limit], graph.tensor([1], kinds.BOOL))
    ways = {"thenSubgraphIndex": MEAN, "elseSubgraphIndex": KEPT}
    answer = graph.step("If", [unsure, picture, first], graph.logits(), **ways)
    return graph.between([picture], answer)


def _mean(graph: Graph) -> Any:  # noqa: ANN401
    """Look at the mirror image, and take the mean of both answers."""
    picture, first = graph.picture(), graph.logits()
    columns = graph.constant(np.array([COLUMNS], np.int32))
    mirrored = graph.step("ReverseV2", [picture, columns], graph.picture())
    both = graph.step("Add", [first, graph.look(mirrored)], graph.logits())
    half = graph.constant(np.asarray(0.5, np.float32))
    return graph.between([picture, first], graph.step("Mul", [both, half], graph.logits()))


def _kept(graph: Graph) -> Any:  # noqa: ANN401
    """Keep the first answer."""
    picture, first = graph.picture(), graph.logits()
    return graph.between([picture, first], first)
