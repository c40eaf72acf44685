"""Oracle: the ONNX reference evaluator, before and after folding."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from diptych.targets.folding import fold

KINDS = ["Conv", "MaxPool", "BatchNormalization", "Relu"]
POOL = {"kernel_shape": [2, 2], "pads": [0, 1, 0, 1]}
PADDED = {"pads": [1, 1, 1, 1]}
IMAGES = np.random.default_rng(5).normal(size=(2, 3, 6, 6)).astype(np.float32)


def chain(kinds, seed=0, biased=False, positive=True, shared=None):
    """Make a graph of nodes in a row, (N, 3, 6, 6) in, 4 channels after the convolution."""
    rng = np.random.default_rng(seed)
    tensors, nodes, channels = [], [], 3

    def constant(array):
        tensors.append(numpy_helper.from_array(array.astype(np.float32), f"c{len(tensors)}"))
        return tensors[-1].name

    for index, kind in enumerate(kinds):
        inputs, attributes = [f"v{index}"], {}
        if kind == "Conv":
            inputs.append(constant(rng.normal(size=(4, channels, 3, 3))))
            inputs += [constant(rng.normal(size=4))] if biased else []
            channels, attributes = 4, PADDED
        elif kind == "BatchNormalization":
            scale = rng.uniform(0.2, 2, channels)
            scale[0] *= 1 if positive else -1
            values = scale, rng.normal(size=channels), rng.normal(size=channels)
            inputs += [constant(array) for array in (*values, rng.uniform(0.1, 3, channels))]
            attributes = {"epsilon": 0.01}
        elif kind == "MaxPool":
            attributes = POOL
        nodes.append(helper.make_node(kind, inputs, [f"v{index + 1}"], **attributes))
    ends = [f"v{len(kinds)}"] + ([f"v{shared}"] if shared else [])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list("NCHW")) for name in ends
    ]
    images = helper.make_tensor_value_info("v0", TensorProto.FLOAT, ["N", 3, 6, 6])
    graph = helper.make_graph(nodes, "g", [images], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def kinds_of(model):
    return [node.op_type for node in model.graph.node]


def folded(model):
    """Fold a model, having seen that it computes the same."""
    before = ReferenceEvaluator(model).run(None, {"v0": IMAGES})
    fold(model.graph)
    onnx.checker.check_model(model)
    for old, new in zip(before, ReferenceEvaluator(model).run(None, {"v0": IMAGES}), strict=True):
        np.testing.assert_allclose(new, old, rtol=0, atol=1e-5 * (1 + np.abs(old).max()))
    return kinds_of(model)


@pytest.mark.parametrize("biased", [False, True])
def test_a_norm_after_a_convolution_is_folded(biased):
    assert folded(chain(["Conv", "BatchNormalization", "Relu"], biased=biased)) == ["Conv", "Relu"]


def test_a_norm_after_pooling_is_folded_and_relu_moves_before_the_pooling():
    model = chain(["Conv", "MaxPool", "BatchNormalization", "Relu"])
    assert folded(model) == ["Conv", "Relu", "MaxPool"]


def test_a_norm_with_a_negative_scale_stays_after_pooling():
    kinds = ["Conv", "MaxPool", "BatchNormalization"]
    assert folded(chain(kinds, positive=False)) == kinds


def test_a_norm_with_a_negative_scale_is_folded_without_pooling():
    assert folded(chain(["Conv", "BatchNormalization"], positive=False)) == ["Conv"]


def test_a_convolution_that_is_used_twice_keeps_its_values():
    kinds = ["Conv", "BatchNormalization", "Relu"]
    assert folded(chain(kinds, shared=1)) == kinds


def test_a_norm_of_the_input_stays():
    assert folded(chain(["BatchNormalization", "Conv"])) == ["BatchNormalization", "Conv"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5), st.booleans(), st.integers(0, 99))
def test_any_row_of_nodes_computes_the_same(kinds, positive, seed):
    folded(chain(kinds, seed=seed, positive=positive))


def elementwise(kind, constant, shape, *, first=False, told=True):
    """Make a graph of one step that joins its input, of such a shape, and a constant."""
    free = ["N" if size == 0 else size for size in shape]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, free)
    passed = helper.make_tensor_value_info("v0", TensorProto.FLOAT, free)
    names = ["c", "v0"] if first else ["v0", "c"]
    nodes = [helper.make_node("Neg", ["x"], ["v0"]), helper.make_node(kind, names, ["y"])]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(constant.astype(np.float32), "c")]
    infos = [passed] if told else []
    graph = helper.make_graph(nodes, "g", [value], [result], tensors, value_info=infos)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def narrowed(model, inputs):
    """Fold a model, having seen that it computes the same; give what the last step is given."""
    before = ReferenceEvaluator(model).run(None, {"x": inputs})[0]
    fold(model.graph)
    after = ReferenceEvaluator(model).run(None, {"x": inputs})[0]
    assert before.shape == after.shape
    assert np.array_equal(before, after)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return next(constants[name] for name in model.graph.node[-1].input if name in constants)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("first", [True, False])
def test_a_constant_alike_for_all_channels_becomes_a_number(kind, first):
    model = elementwise(kind, np.full((1, 3, 1, 1), 2.5), [0, 3, 6, 6], first=first)
    assert narrowed(model, IMAGES).shape == ()


@pytest.mark.parametrize(
    ("constant", "shape"),
    [
        (np.arange(3.0).reshape(1, 3, 1, 1), [0, 3, 6, 6]),  # not alike
        (np.full((1, 3, 6, 6), 2.0), [0, 1, 6, 6]),  # makes the result larger
        (np.full((4, 1, 1, 1), 2.0), [0, 3, 6, 6]),  # its axis is one whose size is free
        (np.full((1, 1, 3, 6, 6), 2.0), [0, 3, 6, 6]),  # gives the result an axis
        (np.full((0,), 2.0), [0]),  # nothing
    ],
)
def test_a_constant_that_says_more_than_its_number_stays(constant, shape):
    inputs = np.ones([4 if size == 0 else size for size in shape], np.float32)
    inputs = inputs[:0] if constant.size == 0 else inputs
    assert narrowed(elementwise("Mul", constant, shape), inputs).shape == constant.shape


def test_a_constant_stays_where_shapes_are_not_told():
    model = elementwise("Mul", np.full((1, 3, 1, 1), 2.0), [0, 3, 6, 6], told=False)
    assert narrowed(model, IMAGES).shape == (1, 3, 1, 1)
