"""A cascade as one ONNX model: a small program answers, a large one where the small one is unsure.

An item is passed on where the largest logit of the small program leads the next one by less than a
threshold. In a batch the large program runs if any item is passed on, and answers only for those,
so an item's answer does not depend on what else is in its batch. The cascade is loaded, served and
measured like any other program.

Shapes: N batch, K classes.
"""

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, compose, helper

from diptych.core.errors import TargetError
from diptych.targets.compact import compact

SMALL, LARGE = "s/", "l/"
LEAST_OPSET = 18
"""Since then a reduction's axes are an input."""


def cascade(small: bytes, large: bytes, threshold: float) -> bytes:
    """Put two programs into one.

    Args:
        small: An ONNX model with logits (N, K).
        large: Another one, of the same input, with logits (N, K).
        threshold: The least lead of the largest logit with which the small one's answer is kept.

    Returns:
        The content of an ONNX file, with the input and the output of `small`.

    Raises:
        TargetError: If the two are of different or of old versions of ONNX.
    """
    models = [onnx.load_from_string(each) for each in (small, large)]
    opsets = _opsets(models)
    first = compose.add_prefix(models[0], SMALL, rename_inputs=False, rename_outputs=True)
    second = compose.add_prefix(models[1], LARGE, rename_inputs=True, rename_outputs=True)
    name, answer = models[0].graph.output[0].name, first.graph.output[0].name
    _rename(second.graph, second.graph.input[0].name, first.graph.input[0].name)
    graph = helper.make_graph(
        [*first.graph.node, *_doubts(answer), _choice(second.graph, answer, name)],
        "cascade",
        list(first.graph.input),
        list(models[0].graph.output),
        [*first.graph.initializer, *_constants(threshold)],
    )
    versions = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=versions)
    model.ir_version = max(each.ir_version for each in models)
    return compact(model)


def _opsets(models: list[ModelProto]) -> dict[str, int]:
    """Return the versions of the operators of both models, by domain."""
    opsets: dict[str, int] = {}
    for model in models:
        for each in model.opset_import:
            version = opsets.setdefault(each.domain, each.version)
            if version != each.version or model.functions:
                raise TargetError("two models of different versions of ONNX make no cascade")
    if opsets.get("", 0) < LEAST_OPSET:
        raise TargetError(f"models older than opset {LEAST_OPSET} make no cascade")
    return opsets


def _doubts(answer: str) -> list[NodeProto]:
    """Make the steps that say of which items the small program is unsure, and whether of any."""
    return [
        helper.make_node("TopK", [answer, "two"], ["largest", "places"], axis=-1),
        helper.make_node("Mul", ["largest", "signs"], ["signed"]),
        helper.make_node("ReduceSum", ["signed", "classes"], ["lead"], keepdims=1),
        helper.make_node("Less", ["lead", "threshold"], ["unsure"]),
        helper.make_node("Cast", ["unsure"], ["counted"], to=TensorProto.INT32),
        helper.make_node("ReduceMax", ["counted", "both"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["any"], to=TensorProto.BOOL),
    ]


def _constants(threshold: float) -> list[TensorProto]:
    return [
        helper.make_tensor("two", TensorProto.INT64, [1], [2]),
        helper.make_tensor("signs", TensorProto.FLOAT, [2], [1, -1]),
        helper.make_tensor("classes", TensorProto.INT64, [1], [1]),
        helper.make_tensor("both", TensorProto.INT64, [2], [0, 1]),
        helper.make_tensor("threshold", TensorProto.FLOAT, [], [threshold]),
    ]


def _choice(large: GraphProto, answer: str, name: str) -> NodeProto:
    """Make the step that runs the large program only where it is needed."""
    asked = helper.make_graph(
        [*large.node, helper.make_node("Where", ["unsure", large.output[0].name, answer], ["new"])],
        "asked",
        [],
        [helper.make_tensor_value_info("new", TensorProto.FLOAT, None)],
        list(large.initializer),
    )
    kept = helper.make_graph(
        [helper.make_node("Identity", [answer], ["old"])],
        "kept",
        [],
        [helper.make_tensor_value_info("old", TensorProto.FLOAT, None)],
    )
    return helper.make_node("If", ["any"], [name], then_branch=asked, else_branch=kept)


def _rename(graph: GraphProto, old: str, new: str) -> None:
    """Let the steps of a graph read another value."""
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
