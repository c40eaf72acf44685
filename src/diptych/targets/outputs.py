"""One of several outputs of an ONNX graph: the others are taken off, with what only they need."""

from pathlib import Path

from onnx import AttributeProto, GraphProto

from diptych.core.errors import TargetError

NAMED = 5
NESTED = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def choose_output(graph: GraphProto, path: Path, output: str | None = None) -> None:
    """Leave a graph with one output, in place.

    Args:
        graph: Of an ONNX file.
        path: What to call it.
        output: Which of several, by its name; may be left out where there is one.

    Raises:
        TargetError: If there are several or none and none was chosen, or none has this name.
    """
    names = [value.name for value in graph.output]
    if output is None and len(names) == 1:
        return
    told = ", ".join(names[:NAMED]) or "none"
    if output is None:
        hint = f"choose one: --output {names[0]}" if names else "export it with its scores"
        raise TargetError(f"{path} gives {len(names)} outputs: {told}", hint)
    if output not in names:
        raise TargetError(f"{path} gives no output {output!r}; it gives {told}", "choose one")
    kept = graph.output[names.index(output)]
    del graph.output[:]
    graph.output.append(kept)
    _drop_unused(graph)


def _drop_unused(graph: GraphProto) -> None:
    """Drop the steps that the output does not need; a graph with graphs inside stays whole."""
    if any(each.type in NESTED for node in graph.node for each in node.attribute):
        return
    needed, kept = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
