"""What the tests share: the real data, where it is, and a tiny bundle made by hand."""

import fcntl
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings
from msgspec import structs

from diptych.core.manifest import FORMAT_VERSION, Machine, Manifest, Provenance
from diptych.core.progress import silent
from diptych.core.specs import (
    AudioSpec,
    CategoryColumn,
    DateColumn,
    ImageSpec,
    InputSpec,
    NumberColumn,
    TableSpec,
    TensorSpec,
    TextSpec,
)
from diptych.core.values import (
    Candidate,
    DataRecord,
    Energy,
    Estimate,
    ModelSummary,
    Program,
    TrainingSummary,
)
from diptych.inference import golden, store
from diptych.inference.runtimes import open_session
from diptych.inference.runtimes.telemetry import no_telemetry

LABELS = ("ant", "bee", "cat")
SPEC = ImageSpec(height=8, width=8, channels=3)
RUNTIMES = ("onnxruntime", "openvino")

settings.register_profile("busy machines", deadline=None, derandomize=True)
settings.load_profile("busy machines")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names a file's content by its size: a sound holds the second in which it was written, and
    processes that share the tests must name them alike."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """A bundle by its parts, before it is written; `weights` is float32 (3, K)."""

    manifest: Manifest
    contents: dict[str, bytes]
    weights: np.ndarray
    inputs: np.ndarray

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Compute in NumPy what the programs compute: mean colour (N, 3) times weights."""
        return (pixels / 255).mean(axis=(1, 2)) @ self.weights


class Nvml(ModuleType):
    """Stand in for the library that counts the energy of GPUs: two of them, by name."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.counted_mj = {"GPU-a": 5_000_000, "GPU-b": 70}
        self.ready = False

    def nvmlInit(self) -> None:
        self.ready = True

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        assert self.ready
        if uuid not in self.counted_mj:
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if handle not in self.counted_mj:
            raise self.NVMLError("GPU is lost")
        return self.counted_mj[handle]


@pytest.fixture
def nvml() -> Nvml:
    """Give a library that counts what it is told."""
    return Nvml()


@pytest.fixture(autouse=True, scope="session")
def _interrupts_arrive() -> None:
    """Let Ctrl-C through where the tests were started in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests prepare away from the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIPTYCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _few_cold_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start two processes where a fit starts six; the one of `digits_bundle` starts them all."""
    if evidence := sys.modules.get("diptych.fitting.evidence"):
        monkeypatch.setattr(evidence, "COLD_RUNS", 2)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of real data sets, or skip where it is absent."""
    folder = Path(os.environ.get("DIPTYCH_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set DIPTYCH_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def tiny_onnx() -> Callable[[np.ndarray], object]:
    """Give the maker of a tiny ONNX model: uint8 (N, 8, 8, 3) to mean colour times weights."""
    onnx = pytest.importorskip("onnx")
    make, types = onnx.helper, onnx.TensorProto

    def build(weights: np.ndarray) -> object:
        nodes = [
            make.make_node("Cast", ["pixels"], ["floats"], to=types.FLOAT),
            make.make_node("Mul", ["floats", "scale"], ["scaled"]),
            make.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
            make.make_node("ReduceMean", ["planes", "axes"], ["means"], keepdims=0),
            make.make_node("Gemm", ["means", "weights"], ["logits"]),
        ]
        constants = [
            make.make_tensor("scale", types.FLOAT, [], [1 / 255]),
            make.make_tensor("axes", types.INT64, [2], [2, 3]),
            onnx.numpy_helper.from_array(weights, "weights"),
        ]
        pixels = make.make_tensor_value_info("pixels", types.UINT8, ["N", 8, 8, 3])
        logits = make.make_tensor_value_info("logits", types.FLOAT, ["N", len(LABELS)])
        graph = make.make_graph(nodes, "tiny", [pixels], [logits], constants)
        return make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10)

    return build


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, tiny_onnx: Callable[..., object]) -> Tiny:
    """Make the parts of a bundle with one program for ONNX Runtime and one for OpenVINO."""
    with no_telemetry():
        openvino = pytest.importorskip("openvino")
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    weights = (10 * rng.normal(size=(3, len(LABELS)))).astype(np.float32)
    inputs = rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    inputs[..., 0] //= np.array([1, 2, 4, 8], np.uint8)[:, None, None]
    (folder / "model.onnx").write_bytes(tiny_onnx(weights).SerializeToString())
    model = openvino.Core().read_model(folder / "model.onnx")
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    names = {"onnxruntime": ("model.onnx",), "openvino": ("model.xml", "model.bin")}
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    programs, expected = [], {}
    for runtime in RUNTIMES:
        program = _program(runtime, names[runtime], contents)
        session = open_session(runtime, [folder / name for name in names[runtime]])
        expected[program.name] = session.run(inputs)
        programs.append(program)
    contents["golden.npz"] = golden.build(inputs, expected)
    manifest = _manifest(tuple(programs), contents["golden.npz"])
    return Tiny(manifest=manifest, contents=contents, weights=weights, inputs=inputs)


@pytest.fixture
def tiny_bundle(tiny: Tiny, tmp_path: Path) -> Path:
    """Write the tiny bundle and give its folder; each test may spoil its own copy."""
    store.write(tmp_path / "tiny.dip", tiny.manifest, tiny.contents)
    return tmp_path / "tiny.dip"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A bundle of some kind of input: `outputs` are prepared inputs, flat, times `weights`."""

    path: Path
    spec: InputSpec
    labels: tuple[str, ...]
    assets: dict[str, bytes]
    inputs: np.ndarray
    weights: np.ndarray

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """Compute in NumPy what the program computes; NaN counts as 0."""
        flat = np.nan_to_num(inputs.reshape(len(inputs), -1).astype(np.float64))
        return flat @ self.weights


@pytest.fixture(scope="session")
def kind_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Kind]:
    """Give the maker of a bundle for a kind of input (audio, text, table) and a goal."""
    made: dict[tuple[str, str], Kind] = {}

    def make(kind: str, goal: str = "classification") -> Kind:
        if (kind, goal) not in made:
            made[kind, goal] = _kind(tmp_path_factory.mktemp(kind) / f"{kind}.dip", kind, goal)
        return made[kind, goal]

    return make


def _kind(path: Path, kind: str, goal: str) -> Kind:
    spec, assets = _spec(kind)
    labels = ("price",) if goal == "regression" else LABELS
    tensor = spec.tensor()
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 3, (4, *tensor.shape[1:])).astype(tensor.dtype)
    if kind == "audio":
        inputs = rng.integers(-9000, 9000, inputs.shape, np.int16)
    size = inputs[0].size
    weights = rng.normal(size=(size, len(labels))) / np.abs(inputs).mean() / size**0.5
    weights = weights.astype(np.float32)
    contents = {"model.onnx": _flat_onnx(tensor, weights), **assets}
    program = Program(
        name="fp32",
        runtime="onnxruntime",
        precision="fp32",
        files=(store.record("model.onnx", contents["model.onnx"]),),
        input=tensor,
        output=TensorSpec(name="logits", dtype="float32", shape=(None, len(labels))),
        tolerance=1e-3,
    )
    flat = inputs.reshape(len(inputs), -1).astype(np.float32)
    contents["golden.npz"] = golden.build(inputs, {"fp32": flat @ weights})
    manifest = structs.replace(
        _manifest((program,), contents["golden.npz"]),
        name=kind,
        goal=goal,
        labels=labels,
        input=spec,
        assets=tuple(assets),
        files=tuple(store.record(n, contents[n]) for n in contents if n != "model.onnx"),
    )
    store.write(path, manifest, contents)
    return Kind(path=path, spec=spec, labels=labels, assets=assets, inputs=inputs, weights=weights)


def _spec(kind: str) -> tuple[InputSpec, dict[str, bytes]]:
    if kind == "audio":
        return AudioSpec(sample_rate=8000, samples=2048), {}
    if kind == "text":
        from diptych.data import texts
        from diptych.data.raw import RawSplit
        from diptych.data.reading import Options

        said = ["a good film", "a bad film", "not so bad", "so good"] * 3
        split = RawSplit(
            items=tuple(map(str, range(12))), labels=("bad",) * 12, contents=tuple(said)
        )
        learned = texts.learn({"train": split}, Options(), silent)
        assert isinstance(learned.spec, TextSpec)
        return learned.spec, learned.assets
    columns = (
        NumberColumn(name="age"),
        CategoryColumn(name="color", values=("red", "green")),
        DateColumn(name="day", format="iso"),
    )
    return TableSpec(columns=columns, ignored=("price",)), {}


def _flat_onnx(tensor: TensorSpec, weights: np.ndarray) -> bytes:
    """Make a model: its input as floats, NaN as 0, flat, times weights."""
    onnx = pytest.importorskip("onnx")
    make, types = onnx.helper, onnx.TensorProto
    nodes = [
        make.make_node("Cast", [tensor.name], ["floats"], to=types.FLOAT),
        make.make_node("IsNaN", ["floats"], ["absent"]),
        make.make_node("Where", ["absent", "zero", "floats"], ["known"]),
        make.make_node("Flatten", ["known"], ["flat"]),
        make.make_node("Gemm", ["flat", "weights"], ["logits"]),
    ]
    constants = [
        make.make_tensor("zero", types.FLOAT, [], [0.0]),
        onnx.numpy_helper.from_array(weights, "weights"),
    ]
    code = make.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
    taken = make.make_tensor_value_info(tensor.name, code, ["N", *tensor.shape[1:]])
    given = make.make_tensor_value_info("logits", types.FLOAT, ["N", weights.shape[1]])
    graph = make.make_graph(nodes, "flat", [taken], [given], constants)
    opsets = [make.make_opsetid("", 18)]
    return make.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def _program(runtime: str, names: tuple[str, ...], contents: dict[str, bytes]) -> Program:
    return Program(
        name=f"fp32-{runtime}",
        runtime=runtime,
        precision="fp32",
        files=tuple(store.record(name, contents[name]) for name in names),
        input=SPEC.tensor(),
        output=TensorSpec(name="logits", dtype="float32", shape=(None, len(LABELS))),
        tolerance=1e-3,
    )


def _manifest(programs: tuple[Program, ...], examples: bytes) -> Manifest:
    number = Estimate(value=0.9, low=0.8, high=float("inf"), n=100, method="made by hand")
    energy = Energy(value_j=1e-3, low_j=5e-4, high_j=2e-3, label="modelled", method="made by hand")
    model = ModelSummary(name="tiny", scores={"accuracy": number}, parameters=9, flops=600)
    record = DataRecord(
        name="tiny", sha256="0" * 64, counts={"train": 10}, split_method="given", seed=0
    )
    rows = [_candidate(program, number, energy) for program in programs]
    return Manifest(
        format_version=FORMAT_VERSION,
        name="tiny",
        goal="classification",
        labels=LABELS,
        input=SPEC,
        programs=programs,
        files=(store.record("golden.npz", examples),),
        budget="p99<=1ms",
        verdict="PASS",
        terms=(),
        candidates=(structs.replace(rows[0], chosen=True), *rows[1:]),
        relaxations=(),
        teacher=model,
        model=model,
        training=TrainingSummary(
            seconds=1, cpu_seconds=1, samples=10, flops=10, energy=energy, cost_usd=0, data_bytes=10
        ),
        breakeven_predictions=None,
        curves=(),
        machine=Machine(
            cpu="none", cores=1, memory_bytes=1, flags=(), system="none", python="3", versions={}
        ),
        provenance=Provenance(data=record, seed=0, recipe={}, created="2026-01-01T00:00:00Z"),
    )


def _candidate(program: Program, number: Estimate, energy: Energy) -> Candidate:
    return Candidate(
        name=program.name,
        model="tiny",
        runtime=program.runtime,
        precision=program.precision,
        threads=1,
        scores={"accuracy": number},
        drop=number,
        p50_ms=number,
        p99_ms=number,
        size_bytes=program.size_bytes,
        energy=energy,
        cost_usd_per_million=0.1,
        parameters=9,
        flops=600,
    )


@pytest.fixture(scope="session")
def linear_tflite() -> Callable[[np.ndarray], bytes]:
    """Give a writer of a LiteRT model: pictures (1, H, W, C) to logits by weights (K, HWC)."""
    lite = "ai_edge_litert.schema_py_generated"
    schema = pytest.importorskip(lite, reason="the extra edge is not installed")
    flatbuffers = pytest.importorskip("flatbuffers")

    def write(weights: np.ndarray, shape: tuple[int, ...] = (1, 8, 8, 1)) -> bytes:
        model, graph = schema.ModelT(), schema.SubGraphT()
        model.version, model.subgraphs, graph.name = 3, [graph], b"net"
        model.buffers, model.operatorCodes = [schema.BufferT(), schema.BufferT()], []
        model.buffers[1].data = np.frombuffer(weights.astype(np.float32).tobytes(), np.uint8)
        kinds, graph.tensors, graph.operators = schema.TensorType, [], []
        shapes = ((shape, kinds.UINT8), (shape, kinds.FLOAT32), (weights.shape, kinds.FLOAT32))
        for place, (sides, kind) in enumerate((*shapes, ((1, len(weights)), kinds.FLOAT32))):
            tensor = schema.TensorT()
            tensor.shape, tensor.type, tensor.name = list(sides), kind, b"xn w"[place : place + 1]
            tensor.buffer = int(place == 2)
            graph.tensors.append(tensor)
        steps = (
            ("CAST", "CastOptions", [0], 1),
            ("FULLY_CONNECTED", "FullyConnectedOptions", [1, 2, -1], 3),
        )
        for place, (name, options, inputs, output) in enumerate(steps):
            code, step = schema.OperatorCodeT(), schema.OperatorT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
            step.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            step.builtinOptions = getattr(schema, f"{options}T")()
            step.opcodeIndex, step.inputs, step.outputs = place, inputs, [output]
            model.operatorCodes.append(code)
            graph.operators.append(step)
        graph.inputs, graph.outputs = [0], [3]
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return write


@pytest.fixture(scope="session")
def digits_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit the built-in digits once, as the README says, for all processes that share the tests;
    they read it and leave it as it is."""
    from diptych.cli.main import run

    lines = (Path(__file__).parents[1] / "README.md").read_text().splitlines()
    words = shlex.split(next(line for line in lines if line.startswith("diptych fit digits ")))
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "fitted" / "digits.dip"
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            assert run([str(path) if word == path.name else word for word in words[1:]]) == 0
    return path


@pytest.fixture(scope="session")
def digit_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw a picture of the digit 0."""
    from PIL import Image
    from sklearn.datasets import load_digits

    path = tmp_path_factory.mktemp("pictures") / "digit.png"
    Image.fromarray((load_digits().images[0] * 15).astype("uint8")).save(path)
    return path


ENCODER_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "so", "not", "film", "very")


@pytest.fixture(scope="session")
def save_encoder() -> Callable[..., Path]:
    """Give what saves a tiny encoder with random weights as a Hugging Face folder."""

    def save(folder: Path, model: str = "BertModel", **settings: object) -> Path:
        torch = pytest.importorskip("torch")
        library = pytest.importorskip("transformers")
        tokenizers = pytest.importorskip("tokenizers")
        vocabulary = {word: number for number, word in enumerate(ENCODER_WORDS)}
        words = tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]")
        tokenizer = tokenizers.Tokenizer(words)
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        kind = getattr(library, model)
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        sizes |= {"intermediate_size": 64, "max_position_embeddings": 20, "pad_token_id": 0}
        config = kind.config_class(vocab_size=len(vocabulary), **sizes | settings)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            kind(config).save_pretrained(folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return save


@pytest.fixture(scope="session")
def encoder_folder(
    tmp_path_factory: pytest.TempPathFactory, save_encoder: Callable[..., Path]
) -> Path:
    """Save one; the tests leave it as it is."""
    return save_encoder(tmp_path_factory.mktemp("encoders") / "tiny-bert")


MODULES = '''"""Networks of somebody else's, with all that people do in theirs."""

from collections import namedtuple

import torch
from torch import nn
from torch.nn import functional

Two = namedtuple("Two", ("features", "scores"))


class Net(nn.Module):
    """Floats (N, 1, 8, 8) from 0 to 1 in; a residual sum, norms, dropout, a mean over places."""

    def __init__(self, gives="scores", width=32):
        super().__init__()
        self.gives = gives
        self.stem = self.layers(1, width, 1)
        self.block = self.layers(width, width, 1)
        self.wide = self.layers(width, 2 * width, 2)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * width, 10))

    def layers(self, inputs, outputs, stride):
        layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    def forward(self, x):
        x = self.stem(x)
        features = self.wide(x + self.block(x)).mean((2, 3))
        if self.gives == "chance":
            features = functional.dropout(features, 0.2)
        scores = self.classifier(features)
        if self.gives == "dict":
            return {"features": features, "scores": scores}
        if self.gives == "tuple":
            return Two(features, scores)
        if self.gives == "one row":
            return scores.reshape(-1)[:10].reshape(1, 10)
        return scores.softmax(1) if self.gives == "shares" else scores


class Odd(nn.Module):
    """An operation that ONNX lacks, without effect."""

    def forward(self, x):
        return x + 0 * torch.linalg.eigvals(torch.eye(2) * x.mean()).real.sum()


class Deciding(nn.Module):
    """Goes another way where the numbers are other ones."""

    def forward(self, x):
        return x if x.sum() > -1e9 else -x


def make(): return Net()
def gives_dict(): return Net("dict")
def gives_tuple(): return Net("tuple")
def gives_shares(): return Net("shares")
def by_chance(): return Net("chance")
def fixed_batch(): return Net("one row")
def raises(): raise OSError("no weights here")
def nothing(): return None
def without_weights(): return Net().to("meta")
NUMBER = 3


class Swap(nn.Module):
    def forward(self, x):
        return x[:, [1, 0, *range(2, 10)]]


def with_last(layer):
    net = Net()
    net.register_load_state_dict_post_hook(
        lambda net, keys: setattr(net, "classifier", nn.Sequential(net.classifier, layer))
    )
    return net


def reordered(): return with_last(Swap())
def odd(): return with_last(Odd())
def deciding(): return with_last(Deciding())
def fewer(): return with_last(nn.Linear(10, 7))
'''


LEARNING = '''"""A plain training of a network on digits, as people write it."""

import numpy as np
import torch
from safetensors.torch import save_file

from diptych.data import read
from diptych.data.reading import Options


def learned(net, path, steps=120):
    split = read("digits", Options(seed=0)).train
    inputs = torch.from_numpy(split.inputs).permute(0, 3, 1, 2).float() / 255
    targets, order = torch.from_numpy(split.targets), np.random.default_rng(0)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        batch = order.integers(0, len(inputs), 64)
        loss = torch.nn.functional.cross_entropy(net(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(net.state_dict(), path)
'''


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a network of somebody else's on digits: a folder with net.py and net.safetensors."""
    torch = pytest.importorskip("torch")
    from diptych.tasks.code import find_object

    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "net.py").write_text(MODULES)
    (folder / "learn.py").write_text(LEARNING)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = find_object(f"{folder / 'net.py'}:make")()
        find_object(f"{folder / 'learn.py'}:learned")(net, folder / "net.safetensors")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 256 KiB, where this user may."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"cannot mount a small file system: {error}")
    yield place
    subprocess.run(["umount", str(place)], check=True)
