"""Models as other tools export them: channels first, floats in, a batch of one, a softmax."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from diptych.core.errors import TargetError
from diptych.core.specs import ImageSpec
from diptych.inference.runtimes import open_session
from diptych.targets.foreign import (
    adopt,
    count_flops,
    count_parameters,
    read_foreign,
)
from diptych.targets.quiet import quiet
from diptych.training.models.given import Scaling

SPEC = ImageSpec(height=12, width=10, channels=3)
SCALING = Scaling(name="made", mean=(120.0, 110.0, 100.0), deviation=(60.0, 50.0, 40.0))
GREY = Scaling(name="made", mean=(0.0,), deviation=(255.0,))
Save = Callable[..., Path]


class Made(nn.Module):
    """A network of somebody else's: scaled floats (N, C, H, W) in."""

    def __init__(self, channels: int = 3, *, softmax: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(8, 4)
        self.softmax = softmax

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.second(functional.relu(self.first(x))))
        x = self.head(functional.adaptive_avg_pool2d(x, 1).reshape(x.shape[0], -1))
        return x.softmax(1) if self.softmax else x


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def export(network: nn.Module, channels: int = 3, *, free: bool = True) -> Path:
        path = tmp_path / "made.onnx"
        shapes = ({0: torch.export.Dim("B", min=1, max=64)},) if free else None
        example = torch.zeros(2 if free else 1, channels, SPEC.height, SPEC.width)
        with quiet():
            torch.onnx.export(
                network.eval(),
                (example,),
                path,
                dynamo=True,
                verbose=False,
                dynamic_shapes=shapes,
                external_data=False,
            )
        return path

    return export


def pixels(count: int, channels: int = 3) -> np.ndarray:
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (count, SPEC.height, SPEC.width, channels), np.uint8)


def run(program: bytes, batch: np.ndarray, folder: Path) -> np.ndarray:
    path = folder / "adopted.onnx"
    path.write_bytes(program)
    return open_session("onnxruntime", [path], 1).run(batch)


def prepared(batch: np.ndarray, scaling: Scaling) -> Tensor:
    scaled = (batch.astype(np.float32) - scaling.mean) / scaling.deviation
    return torch.from_numpy(scaled.astype(np.float32).transpose(0, 3, 1, 2).copy())


@pytest.mark.slow
@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("softmax", [True, False])
def test_an_adopted_model_takes_raw_pixels_and_gives_the_same_logits(
    save: Save, tmp_path: Path, free: bool, softmax: bool
) -> None:
    network = Made(softmax=softmax)
    foreign = read_foreign(save(network, free=free))
    assert (foreign.channels, foreign.channels_first, foreign.outputs) == (3, True, 4)
    assert (foreign.height, foreign.width, foreign.dtype) == (12, 10, "float32")
    network.softmax = False
    program, batch = adopt(foreign, SPEC, SCALING), pixels(5)
    with torch.no_grad():
        wanted = network(prepared(batch, SCALING)).numpy()
    np.testing.assert_allclose(run(program, batch, tmp_path), wanted, rtol=1e-4, atol=1e-5)
    assert adopt(foreign, SPEC, SCALING) == program


@pytest.mark.slow
def test_what_a_model_takes_to_compute_is_counted_as_torch_counts_it(save: Save) -> None:
    network = Made()
    program = adopt(read_foreign(save(network)), SPEC, SCALING)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(prepared(pixels(1), SCALING))
    assert count_flops(program) == counter.get_total_flops()
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert weights <= count_parameters(program) <= weights + 6


def linear(path: Path, dtype: int = TensorProto.FLOAT, sides: tuple[object, ...] = ()) -> Path:
    """Write a linear classifier of grey pictures (N, H, W, 1) by hand."""
    shape = sides or ("N", SPEC.height, SPEC.width, 1)
    weights = np.random.default_rng(1).normal(size=(120, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", 4))],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.UINT8])
def test_channels_may_be_last_and_pixels_bytes(tmp_path: Path, dtype: int) -> None:
    foreign = read_foreign(linear(tmp_path / "linear.onnx", dtype))
    assert not foreign.channels_first
    spec, batch = ImageSpec(height=12, width=10, channels=1), pixels(3, 1)
    weights = np.random.default_rng(1).normal(size=(120, 4)).astype(np.float32)
    scale = 255 if dtype == TensorProto.FLOAT else 1
    wanted = (batch.reshape(3, -1).astype(np.float32) / scale) @ weights
    program = adopt(foreign, spec, GREY)
    np.testing.assert_allclose(run(program, batch, tmp_path), wanted, rtol=1e-4, atol=1e-3)
    assert count_flops(program) == 2 * 120 * 4
    with pytest.raises(TargetError, match="takes 1 channels, and the data has 3"):
        adopt(foreign, SPEC, GREY)
    with pytest.raises(TargetError, match="takes 12 x 10 pixels, and the data is prepared at 32"):
        adopt(foreign, ImageSpec(height=32, width=32, channels=1), GREY)


def test_a_model_may_call_its_values_as_we_do(tmp_path: Path) -> None:
    spec, batch = ImageSpec(height=12, width=10, channels=1), pixels(3, 1)
    wanted = run(adopt(read_foreign(linear(tmp_path / "a.onnx")), spec, GREY), batch, tmp_path)
    model = onnx.load(tmp_path / "a.onnx")
    names = {"x": "pixels", "floats": "pixels.float", "weights": "pixels.mean", "scores": "logits"}
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
    onnx.save(model, tmp_path / "b.onnx")
    adopted = adopt(read_foreign(tmp_path / "b.onnx"), spec, GREY)
    np.testing.assert_array_equal(run(adopted, batch, tmp_path), wanted)


@pytest.mark.parametrize(
    ("sides", "dtype", "told"),
    [
        (("N", 120), TensorProto.FLOAT, r"takes \(any, 120\) of FLOAT, no batch of pictures"),
        (("N", 12, 10, 1), TensorProto.INT64, "of INT64, no batch of pictures"),
        (("N", 12, 10, 7), TensorProto.FLOAT, "no axis has 1 or 3 channels"),
    ],
)
def test_a_model_of_something_else_is_refused(
    tmp_path: Path, sides: tuple[object, ...], dtype: int, told: str
) -> None:
    with pytest.raises(TargetError, match=told):
        read_foreign(linear(tmp_path / "linear.onnx", dtype, sides))


def test_two_inputs_and_two_outputs_are_refused(tmp_path: Path) -> None:
    model = onnx.load(linear(tmp_path / "linear.onnx"))
    extra = helper.make_tensor_value_info("mask", TensorProto.FLOAT, ("N", 1))
    model.graph.input.append(extra)
    onnx.save(model, tmp_path / "inputs.onnx")
    with pytest.raises(TargetError, match=r"takes 2 tensors \(x, mask\), not one"):
        read_foreign(tmp_path / "inputs.onnx")
    del model.graph.input[1]
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ("N", 120)))
    onnx.save(model, tmp_path / "outputs.onnx")
    with pytest.raises(TargetError, match="gives 2 outputs: scores, flat"):
        read_foreign(tmp_path / "outputs.onnx")


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    model = onnx.load(linear(tmp_path / "linear.onnx"))
    onnx.save(
        model,
        tmp_path / "outside.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    with pytest.raises(TargetError, match="keeps tensors in another file"):
        read_foreign(tmp_path / "outside.onnx")


@pytest.mark.parametrize("data", [b"", b"\x08", b"no onnx at all", bytes(range(256))])
def test_what_is_no_onnx_file_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(data)
    with pytest.raises(TargetError, match=r"bad\.onnx") as told:
        read_foreign(tmp_path / "bad.onnx")
    assert "bundle" not in told.value.hint
    with pytest.raises(TargetError, match="there is no file"):
        read_foreign(tmp_path / "none.onnx")


def ending(path: Path, *nodes: onnx.NodeProto, batch: object = "N") -> Path:
    """Have a linear classifier end with other steps, from `inner` to `scores`."""
    model = onnx.load(linear(path, sides=(batch, SPEC.height, SPEC.width, 1)))
    graph = model.graph
    graph.node[-1].output[0] = "inner"
    graph.node.extend(nodes)
    onnx.save(model, path)
    return path


def shape_of(name: str, *sides: int) -> onnx.NodeProto:
    value = numpy_helper.from_array(np.array(sides, np.int64))
    return helper.make_node("Constant", [], [name], value=value)


@pytest.mark.parametrize(
    "after",
    [
        [helper.make_node("Identity", ["shares"], ["scores"])],
        [
            helper.make_node("Cast", ["shares"], ["cast"], to=TensorProto.FLOAT),
            shape_of("shape", -1, 4),
            helper.make_node("Reshape", ["cast", "shape"], ["scores"]),
        ],
    ],
)
def test_a_softmax_is_taken_off_before_steps_that_only_shape(
    tmp_path: Path, after: list[onnx.NodeProto]
) -> None:
    spec, batch = ImageSpec(height=12, width=10, channels=1), pixels(3, 1)
    wanted = run(adopt(read_foreign(linear(tmp_path / "a.onnx")), spec, GREY), batch, tmp_path)
    softmax = helper.make_node("Softmax", ["inner"], ["shares"], axis=1)
    foreign = read_foreign(ending(tmp_path / "b.onnx", softmax, *after))
    np.testing.assert_allclose(run(adopt(foreign, spec, GREY), batch, tmp_path), wanted, rtol=1e-5)


def test_a_batch_of_1_is_freed_whose_shapes_are_written_as_steps(tmp_path: Path) -> None:
    spec, batch = ImageSpec(height=12, width=10, channels=1), pixels(3, 1)
    wanted = run(adopt(read_foreign(linear(tmp_path / "a.onnx")), spec, GREY), batch, tmp_path)
    steps = [shape_of("shape", 1, 4), helper.make_node("Reshape", ["inner", "shape"], ["scores"])]
    foreign = read_foreign(ending(tmp_path / "b.onnx", *steps, batch=1))
    np.testing.assert_allclose(run(adopt(foreign, spec, GREY), batch, tmp_path), wanted, rtol=1e-5)


@pytest.mark.parametrize("batch", ["N", 1])
def test_the_shape_of_what_has_no_batch_stays(tmp_path: Path, batch: object) -> None:
    """A scale (4,) is brought to (1, 4): by a step from a constant, or where the batch is free."""
    spec, items = ImageSpec(height=12, width=10, channels=1), pixels(3, 1)
    wanted = run(adopt(read_foreign(linear(tmp_path / "a.onnx")), spec, GREY), items, tmp_path)
    scale = numpy_helper.from_array(np.float32([1, 2, 3, 4]))
    steps = [helper.make_node("Constant", [], ["scale"], value=scale)]
    if batch == "N":
        steps.append(helper.make_node("Identity", ["scale"], ["same"]))
    steps += [
        shape_of("shape", 1, 4),
        helper.make_node("Reshape", [steps[-1].output[0], "shape"], ["row"]),
        helper.make_node("Mul", ["inner", "row"], ["scores"]),
    ]
    foreign = read_foreign(ending(tmp_path / "b.onnx", *steps, batch=batch))
    np.testing.assert_allclose(
        run(adopt(foreign, spec, GREY), items, tmp_path), wanted * [1, 2, 3, 4], rtol=1e-5
    )


def test_a_reshape_of_the_first_onnx_is_left_as_it_is(tmp_path: Path) -> None:
    model = onnx.load(linear(tmp_path / "a.onnx", sides=(1, SPEC.height, SPEC.width, 1)))
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Reshape", ["x"], ["scores"], shape=[1, 4]))
    model.opset_import[0].version = 1
    onnx.save(model, tmp_path / "b.onnx")
    adopt(read_foreign(tmp_path / "b.onnx"), ImageSpec(height=12, width=10, channels=1), GREY)
