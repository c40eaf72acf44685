"""Oracle: the ONNX reference evaluator, before and after."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from diptych.targets.compact import compact

PIXELS = np.arange(6, dtype=np.float32).reshape(2, 3)


def model(nodes, constants, inferred=()):
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in ("in", "out")]
    tensors = [numpy_helper.from_array(np.float32(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors, value_info=inferred)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def verbose():
    """Make a model with equal constants, an unused one, long names and notes."""
    first = helper.make_node("Add", ["in", "a.very.long.name"], ["middle"], name="add of a module")
    first.doc_string = "File /home/someone/secret.py, line 3"
    last = helper.make_node("Mul", ["middle", "its.twin"], ["out"], name="multiplication")
    entry = last.metadata_props.add()
    entry.key, entry.value = "stack", "File /home/someone/secret.py, line 4"
    known = helper.make_tensor_value_info("middle", TensorProto.FLOAT, ["N", 3])
    constants = {"a.very.long.name": [1, 2, 3], "its.twin": [1, 2, 3], "unused": [7] * 99}
    return model([first, last], constants, [known])


def test_a_smaller_file_computes_the_same():
    before = ReferenceEvaluator(verbose()).run(None, {"in": PIXELS})[0]
    size = len(verbose().SerializeToString())
    written = compact(verbose())
    onnx.checker.check_model(written, full_check=True)
    np.testing.assert_array_equal(ReferenceEvaluator(written).run(None, {"in": PIXELS})[0], before)
    assert len(written) < size / 3


def test_notes_and_names_go_and_equal_constants_are_stored_once():
    written = compact(verbose())
    assert b"secret" not in written
    assert b"long" not in written
    graph = onnx.load_from_string(written).graph
    assert len(graph.initializer) == 1
    assert [value.name for value in (*graph.input, *graph.output)] == ["in", "out"]


def test_equal_bytes_of_another_shape_or_type_are_not_merged():
    nodes = [
        helper.make_node("Add", ["in", "row"], ["middle"]),
        helper.make_node("Add", ["middle", "matrix"], ["out"]),
    ]
    written = compact(model(nodes, {"row": [0, 0, 0], "matrix": [[0, 0, 0]]}))
    assert len(onnx.load_from_string(written).graph.initializer) == 2


def test_an_optional_input_that_is_left_out_stays_left_out():
    nodes = [helper.make_node("Clip", ["in", "", "most"], ["out"])]
    written = compact(model(nodes, {"most": 3.0}))
    answer = ReferenceEvaluator(written).run(None, {"in": PIXELS})[0]
    np.testing.assert_array_equal(answer, np.minimum(PIXELS, 3))


def test_a_model_with_inner_graphs_keeps_its_names():
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    branch = helper.make_graph(
        [helper.make_node("Add", ["in", "one"], ["inner"])], "b", [], [value]
    )
    nodes = [helper.make_node("If", ["yes"], ["out"], then_branch=branch, else_branch=branch)]
    made = model(nodes, {"one": [1, 1, 1]})
    made.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    answer = ReferenceEvaluator(compact(made)).run(None, {"in": PIXELS})[0]
    np.testing.assert_array_equal(answer, PIXELS + 1)
