import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from diptych.compression.answers import Running
from diptych.compression.aware import train_quantized
from diptych.compression.distill import distillation
from diptych.compression.grids import EXACT_LEVELS, ActivationGrid, WeightGrid
from diptych.compression.quantize import QuantizedNetwork, quantization_aware
from diptych.core.errors import TargetError
from diptych.core.specs import (
    AudioSpec,
    CategoryColumn,
    ImageSpec,
    NumberColumn,
    TableSpec,
    TextSpec,
)
from diptych.core.values import DataRecord, Dataset, Split
from diptych.targets.openvino import from_qdq
from diptych.targets.qdq import export_quantized
from diptych.training.control import RunControl
from diptych.training.models.conformer import Conformer, ConformerConfig
from diptych.training.models.tabular import Tabular, TabularConfig
from diptych.training.models.textcnn import TextConvolution, TextConvolutionConfig
from diptych.training.recipe import TrainingRecipe

pytestmark = pytest.mark.slow
RUNTIMES = ("onnxruntime", "openvino")


def split(pixels: np.ndarray) -> Split:
    """Give items of which the labels do not matter."""
    names = tuple(str(n) for n in range(len(pixels)))
    return Split(inputs=pixels, targets=np.zeros(len(pixels), np.int64), items=names)


@pytest.fixture(scope="module")
def aware(trained) -> QuantizedNetwork:
    """Train the network of digits on in 8 bits; it imitates itself."""
    record = DataRecord(name="digits", sha256="0" * 64, counts={}, split_method="made", seed=0)
    dataset = Dataset(
        goal="classification",
        spec=ImageSpec(height=8, width=8, channels=1),
        labels=tuple("0123456789"),
        train=split(trained.train),
        validation=split(trained.train[:20]),
        test=split(trained.test),
        record=record,
    )
    recipe = TrainingRecipe(epochs=6, batch_size=32, optimizer="adamw", learning_rate=2e-3)
    objective = distillation("classification", Running(trained.network), 2.0)
    result = train_quantized(
        trained.network, dataset, recipe, objective, RunControl(), calibration=trained.train
    )
    return result.network


@pytest.fixture(scope="module")
def programs(trained, aware) -> dict[str, bytes]:
    return {runtime: export_quantized(aware, trained.spec, runtime) for runtime in RUNTIMES}


def logits_of(network, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(pixels)).numpy()


def files(runtime: str, program: bytes) -> dict[str, bytes]:
    return {"m.onnx": program} if runtime == "onnxruntime" else from_qdq(program)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_program_computes_what_was_trained(trained, aware, programs, run_files, runtime):
    logits = run_files(runtime, files(runtime, programs[runtime]), trained.test)
    reference = logits_of(aware, trained.test)
    agreeing = (logits.argmax(1) == reference.argmax(1)).mean()
    assert agreeing >= 0.995
    assert np.abs(logits - reference).max() < 0.01 * np.ptp(reference)
    in_float = trained.logits(trained.test)
    assert np.abs(logits - reference).max() < np.abs(in_float - reference).max()


def test_the_program_holds_the_scales_that_were_learned(trained, aware, programs):
    graph = onnx.load_from_string(programs["onnxruntime"]).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    written = {
        float(constants[node.input[1]]) for node in graph.node if node.op_type == "QuantizeLinear"
    }
    grids = [module for module in aware.modules() if isinstance(module, ActivationGrid)]
    assert written == {grid.scale_and_zero()[0].item() for grid in grids}
    weights = [array for array in constants.values() if array.dtype == np.int8 and array.ndim > 1]
    assert len(weights) == sum(isinstance(module, WeightGrid) for module in aware.modules()) == 4
    head = next(p for name, p in aware.named_parameters() if name.endswith("head.weight"))
    levels = next(array for array in weights if array.shape == (10, 32))
    assert np.array_equal(
        levels, (head / WeightGrid(10, EXACT_LEVELS).scales(head)[:, None]).detach().numpy().round()
    )


def test_the_bias_of_a_linear_layer_is_a_whole_number_of_the_accumulators_steps(programs):
    for runtime, shapes in (("onnxruntime", [[10]]), ("openvino", [])):
        graph = onnx.load_from_string(programs[runtime]).graph
        whole = [t for t in graph.initializer if t.data_type == onnx.TensorProto.INT32]
        assert [list(tensor.dims) for tensor in whole] == shapes


def test_openvino_runs_the_layers_in_int8(programs):
    openvino = pytest.importorskip("openvino")
    graph, weights = from_qdq(programs["openvino"]).values()
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(graph, weights), "CPU")
    notes = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    layers = {
        (note["layerType"].value, note["runtimePrecision"].value)
        for note in notes
        if note["layerType"].value in {"Convolution", "FullyConnected"}
    }
    assert layers == {("Convolution", "u8"), ("FullyConnected", "u8")}


def test_onnxruntime_runs_the_layers_in_int8(programs, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(programs["onnxruntime"], options)
    steps = [node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node]
    assert {"QLinearConv", "QGemm"} <= set(steps)
    assert not {"Conv", "Gemm", "MatMul"} & set(steps)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_weight_takes_a_byte(aware, programs, runtime):
    contents = files(runtime, programs[runtime])
    weights = sum(p.numel() for p in aware.parameters())
    assert len(contents.get("m.onnx", contents.get("model.bin", b""))) < weights + 8000


def test_the_same_network_gives_the_same_bytes_and_is_not_changed(trained, aware, programs):
    before = {name: tensor.clone() for name, tensor in aware.state_dict().items()}
    assert export_quantized(aware, trained.spec, "onnxruntime") == programs["onnxruntime"]
    assert all(torch.equal(before[name], tensor) for name, tensor in aware.state_dict().items())


def test_a_bias_that_does_not_fit_in_int32_stays_in_float(trained, run_files):
    network = quantization_aware(trained.network, trained.spec, trained.train)
    head = next(p for name, p in network.named_parameters() if name.endswith("head.bias"))
    with torch.no_grad():
        head[3] = 1e7
    program = export_quantized(network, trained.spec, "onnxruntime")
    logits = run_files("onnxruntime", {"m.onnx": program}, trained.test[:50])
    reference = logits_of(network, trained.test[:50])
    assert logits[:, 3] == pytest.approx(1e7)
    assert np.abs(np.delete(logits - reference, 3, 1)).max() < 0.5


def test_a_network_in_training_mode_is_refused(trained):
    network = quantization_aware(trained.network, trained.spec, trained.train)
    with pytest.raises(TargetError, match="training mode"):
        export_quantized(network.train(), trained.spec, "onnxruntime")


SOUND = AudioSpec(sample_rate=8000, samples=2048)
TEXT = TextSpec(tokens=8, vocabulary=300)
ROWS = TableSpec(columns=(NumberColumn(name="a"), CategoryColumn(name="w", values=("x", "y"))))
RANDOM = np.random.default_rng(0)
KINDS = {
    "attention and convolution": (
        lambda: Conformer(ConformerConfig(width=16, blocks=1, heads=2, kernel=3, stem=8), SOUND, 3),
        SOUND,
        RANDOM.normal(0, 3000, (96, 2048)).astype(np.int16),
    ),
    "tables and masks": (
        lambda: TextConvolution(TextConvolutionConfig(width=8, channels=8, runs=(1, 2)), TEXT, 3),
        TEXT,
        RANDOM.integers(0, 300, (96, 8), dtype=np.int32),
    ),
    "dense layers": (
        lambda: Tabular(TabularConfig(widths=(16, 16), pieces=4), ROWS, 3),
        ROWS,
        np.stack([RANDOM.normal(9, 5, 96), RANDOM.integers(0, 3, 96)], 1).astype(np.float32),
    ),
}


def rounded_of(kind: str) -> tuple[torch.nn.Module, QuantizedNetwork]:
    """Build a network that was not trained, and make it quantization-aware."""
    build, spec, items = KINDS[kind]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = build()
        if hasattr(network, "learn_scaling"):
            network.learn_scaling(torch.from_numpy(items))
        network(torch.from_numpy(items))
    return network.eval(), quantization_aware(network, spec.tensor(), items)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_computes_what_was_rounded(kind, run_files):
    _, spec, items = KINDS[kind]
    network, rounded = rounded_of(kind)
    reference = logits_of(rounded, items)
    assert np.abs(reference - logits_of(network, items)).max() > 1e-5
    for runtime in RUNTIMES:
        program = export_quantized(rounded, spec.tensor(), runtime)
        logits = run_files(runtime, files(runtime, program), items)
        assert np.abs(logits - reference).max() < 0.03 * np.ptp(reference)


def test_a_table_takes_a_byte_per_number():
    _, rounded = rounded_of("tables and masks")
    program = export_quantized(rounded, TEXT.tensor(), "onnxruntime")
    tensors = onnx.load_from_string(program).graph.initializer
    assert [list(t.dims) for t in tensors if t.data_type == onnx.TensorProto.UINT8 and t.dims] == [
        [300, 8]
    ]
    assert len(program) < 300 * 8 + 12_000
