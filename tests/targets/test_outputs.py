from pathlib import Path

import numpy as np
import pytest
from onnx import GraphProto, TensorProto, helper, numpy_helper

from diptych.core.errors import TargetError
from diptych.targets.outputs import choose_output

PATH = Path("made.onnx")


def graph(*outputs: str) -> GraphProto:
    nodes = [
        helper.make_node("Relu", ["x"], ["active"]),
        helper.make_node("MatMul", ["active", "weights"], ["scores"]),
        helper.make_node("Flatten", ["active"], ["features"]),
        helper.make_node("Exp", ["features"], ["large"]),
    ]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 4)) for name in outputs]
    taken = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 4))]
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), "weights")
    return helper.make_graph(nodes, "made", taken, made, [weights])


def test_what_only_the_others_need_is_dropped() -> None:
    made = graph("large", "scores")
    choose_output(made, PATH, "scores")
    assert [value.name for value in made.output] == ["scores"]
    assert [node.op_type for node in made.node] == ["Relu", "MatMul"]


def test_a_single_output_needs_no_choice_and_nothing_changes() -> None:
    made = graph("scores")
    choose_output(made, PATH)
    assert len(made.node) == 4


@pytest.mark.parametrize(
    ("outputs", "chosen", "said", "hint"),
    [
        (("large", "scores"), None, "gives 2 outputs: large, scores", "--output large"),
        (("large", "scores"), "score", "gives no output 'score'; it gives large, scores", "one"),
        ((), None, "gives 0 outputs: none", "export"),
    ],
)
def test_what_is_not_clear_is_asked(
    outputs: tuple[str, ...], chosen: str | None, said: str, hint: str
) -> None:
    with pytest.raises(TargetError, match=said) as told:
        choose_output(graph(*outputs), PATH, chosen)
    assert hint in told.value.hint
