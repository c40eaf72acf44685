"""The walk over ONNX's protobuf; the oracle is the onnx library's own parser and writer."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.errors import BundleError
from diptych.inference.runtimes.onnx_wire import refuse_external_data

onnx = pytest.importorskip("onnx")
protobuf = pytest.importorskip("google.protobuf.message")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def outside(location: str = "../../etc/passwd"):
    """Make a tensor whose values are in another file."""
    tensor = helper.make_tensor("w", FLOAT, [2], [1.0, 2.0])
    tensor.ClearField("float_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    tensor.data_location = onnx.TensorProto.EXTERNAL
    return tensor


def graph(nodes=(), constants=(), sparse=()):
    out = helper.make_tensor_value_info("y", FLOAT, [2])
    made = helper.make_graph(list(nodes), "g", [], [out], list(constants))
    made.sparse_initializer.extend(sparse)
    return made


def in_initializer():
    return helper.make_model(graph(constants=[outside()]))


def in_constant():
    return helper.make_model(graph([helper.make_node("Constant", [], ["y"], value=outside())]))


def in_subgraph():
    branch = in_constant().graph
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=graph())
    return helper.make_model(graph([node]))


def in_sparse_initializer():
    return helper.make_model(graph(sparse=[onnx.SparseTensorProto(values=outside())]))


def in_sparse_attribute():
    node = helper.make_node("Constant", [], ["y"])
    node.attribute.add(name="v").sparse_tensor.indices.CopyFrom(outside())
    return helper.make_model(graph([node]))


def in_list_of_tensors():
    node = helper.make_node("Strange", [], ["y"])
    node.attribute.add(name="v").tensors.append(outside())
    return helper.make_model(graph([node]))


def in_function():
    made = helper.make_model(graph())
    made.functions.add(name="f").node.extend(in_constant().graph.node)
    return made


def in_training():
    made = helper.make_model(graph())
    made.training_info.add().initialization.CopyFrom(graph(constants=[outside()]))
    return made


PLACES = [
    in_initializer,
    in_constant,
    in_subgraph,
    in_sparse_initializer,
    in_sparse_attribute,
    in_list_of_tensors,
    in_function,
    in_training,
]


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_another_file_is_refused_wherever_it_hides(place):
    with pytest.raises(BundleError, match="keeps tensors in another file"):
        refuse_external_data(place().SerializeToString())


def test_a_location_without_the_flag_and_a_flag_without_a_location_are_refused():
    for field in ("external_data", "data_location"):
        tensor = outside()
        tensor.ClearField(field)
        data = helper.make_model(graph(constants=[tensor])).SerializeToString()
        with pytest.raises(BundleError, match="another file"):
            refuse_external_data(data)


def test_a_model_that_holds_its_tensors_passes(tiny):
    refuse_external_data(tiny.contents["model.onnx"])
    marked = helper.make_tensor("w", FLOAT, [2], [1.0, 2.0])
    marked.data_location = onnx.TensorProto.DEFAULT
    refuse_external_data(helper.make_model(graph(constants=[marked])).SerializeToString())


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x3a\xff\xff\xff\xff\x7f",
        b"\x3a\x05ab",
        b"\x3b\x3c",
        b"\x00\x01",
        b"\xba\x80\x80\x80\x80\x00\x00",
        b"\x08" + b"\x80" * 11,
        b"\xba\x80\x80\x80\x10\x00",
        b"\x80\x04\x95pickle.",
    ],
)
def test_what_is_not_plain_protobuf_is_refused(data):
    with pytest.raises(BundleError, match="malformed"):
        refuse_external_data(data)


def test_endless_parts_and_depth_are_refused_quickly():
    deep = b""
    for _ in range(200):
        attribute = b"\x32" + _length(deep) + deep
        node = b"\x2a" + _length(attribute) + attribute
        deep = b"\x0a" + _length(node) + node
    start = time.process_time()
    with pytest.raises(BundleError, match="too many parts"):
        refuse_external_data(b"\x08\x01" * 20_000_000)
    with pytest.raises(BundleError, match="nested too deeply"):
        refuse_external_data(b"\x3a" + _length(deep) + deep)
    assert time.process_time() - start < 3


def _length(data: bytes) -> bytes:
    value, digits = len(data), []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def uses_other_files(model) -> bool:
    tensors = list(model.graph.initializer)
    tensors += [item.t for node in model.graph.node for item in node.attribute]
    return any(tensor.external_data or tensor.data_location for tensor in tensors)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_damage_makes_it_miss_a_tensor_that_the_library_sees(data):
    place = data.draw(st.sampled_from([in_initializer, in_constant]))
    whole = bytearray(place().SerializeToString())
    for _ in range(data.draw(st.integers(0, 2))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        model = onnx.ModelProto.FromString(bytes(whole))
    except protobuf.DecodeError:
        return
    if uses_other_files(model):
        with pytest.raises(BundleError):
            refuse_external_data(bytes(whole))
