"""Make an exported ONNX model small and the same every time, without changing what it computes.

What only a person debugging the exporter reads is dropped: stack traces, inferred shapes, long
names. Equal constants are stored once.
"""

from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
NESTED = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def compact(model: ModelProto) -> bytes:
    """Write a model in its smallest form.

    Args:
        model: The model, with its tensors inside; changed in place.

    Returns:
        The serialized model; the names of inputs and outputs stay.
    """
    graph = model.graph
    _strip(model)
    if not any(a.type in NESTED for node in graph.node for a in node.attribute):
        _merge_constants(graph)
        _shorten_names(graph)
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _strip(model: ModelProto) -> None:
    graph = model.graph
    del graph.value_info[:]
    del graph.quantization_annotation[:]
    parts = (*graph.node, *graph.initializer, *graph.input, *graph.output)
    for part in (model, graph, *parts):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for node in graph.node:
        node.ClearField("name")
    graph.name = "model"


def _merge_constants(graph: GraphProto) -> None:
    """Keep one of each equal constant, and none that is not used."""
    first: dict[bytes, str] = {}
    merged: dict[str, str] = {}
    for tensor in graph.initializer:
        merged[tensor.name] = first.setdefault(_content(tensor), tensor.name)
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = merged.get(name, name)
    used = {name for node in graph.node for name in node.input}
    used.update(output.name for output in graph.output)
    kept = [t for t in graph.initializer if merged[t.name] == t.name and t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _content(tensor: TensorProto) -> bytes:
    unnamed = TensorProto()
    unnamed.CopyFrom(tensor)
    unnamed.ClearField("name")
    content: bytes = unnamed.SerializeToString(deterministic=True)
    return content


def _shorten_names(graph: GraphProto) -> None:
    short = {value.name: value.name for value in (*graph.input, *graph.output)}
    short[""] = ""
    for tensor in graph.initializer:
        tensor.name = short.setdefault(tensor.name, _name(len(short)))
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = short.setdefault(name, _name(len(short)))


def _name(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return f"%{digits}"  # so marked, it is no input's or output's name
