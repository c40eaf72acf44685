from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from diptych.core.errors import TargetError
from diptych.core.files import sha256_of_file
from diptych.core.specs import ImageSpec, TextSpec
from diptych.targets.adopted import AdoptedNetwork, ForeignConfig, open_adopted
from diptych.targets.onnx import export
from diptych.training.models.given import Scaling

SPEC = ImageSpec(height=4, width=5, channels=1)
SCALING = Scaling(name="made", mean=(10.0,), deviation=(2.0,))
WEIGHTS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


def save(path: Path, nodes: list[onnx.NodeProto], batch: str | int = "N") -> ForeignConfig:
    """Write a model of these steps, from x to scores."""
    constants = {"weights": WEIGHTS, "sides": np.array([8, 20], np.int64)}
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, 1, 4, 5))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (batch, 3))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid(domain, 17) for domain in {"", *(n.domain for n in nodes)}]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return ForeignConfig(path=str(path), sha256=sha256_of_file(path), scaling=SCALING)


@pytest.fixture
def config(tmp_path: Path) -> ForeignConfig:
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 1, 4, 5))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", 3))],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    path = tmp_path / "linear.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return ForeignConfig(path=str(path), sha256=sha256_of_file(path), scaling=SCALING)


def test_it_answers_as_a_network_and_is_exported_as_it_is(config: ForeignConfig) -> None:
    network = open_adopted(config, SPEC)
    pixels = np.random.default_rng(1).integers(0, 256, (6, 4, 5, 1), np.uint8)
    wanted = (pixels.reshape(6, 20).astype(np.float32) - 10) / 2 @ WEIGHTS
    told = network(torch.from_numpy(pixels))
    np.testing.assert_allclose(told.numpy(), wanted, rtol=1e-4, atol=1e-3)
    assert isinstance(network, AdoptedNetwork)
    assert not network.training
    assert network.flops == 2 * 20 * 3
    assert network.parameter_count >= 60
    assert export(network, SPEC.tensor()) == network.program
    assert not network.state_dict()


@pytest.mark.parametrize("added", [b"\x1a\x00", b"not to be parsed"])
def test_another_file_in_its_place_is_refused_and_not_parsed(
    config: ForeignConfig, added: bytes
) -> None:
    path = Path(config.path)
    path.write_bytes(path.read_bytes() + added)
    with pytest.raises(TargetError, match="is not the file that it was"):
        open_adopted(config, SPEC)


def test_it_takes_pictures_only(config: ForeignConfig) -> None:
    with pytest.raises(TargetError, match="takes pictures, and the data is something else"):
        open_adopted(config, TextSpec(tokens=4, vocabulary=8))


def test_what_onnx_runtime_refuses_is_told_of_the_file_that_was_given(tmp_path: Path) -> None:
    multiply = helper.make_node("MatMul", ["flat", "weights"], ["scores"])
    odd = helper.make_node("Wobble", ["x"], ["flat"], domain="com.example")
    with pytest.raises(TargetError, match=r"cannot load odd\.onnx.*Wobble") as told:
        open_adopted(save(tmp_path / "odd.onnx", [odd, multiply]), SPEC)
    assert told.value.hint == "export it with operations that ONNX Runtime has"
    fixed = helper.make_node("Reshape", ["x", "sides"], ["flat"])
    network = open_adopted(save(tmp_path / "eight.onnx", [fixed, multiply], 8), SPEC)
    pixels = torch.zeros((8, 4, 5, 1), dtype=torch.uint8)
    assert network(pixels).shape == (8, 3)
    with pytest.raises(TargetError, match=r"eight\.onnx: ONNX Runtime cannot run") as told:
        network(pixels[:6])
    assert told.value.hint == "export it with a free batch axis"
