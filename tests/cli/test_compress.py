"""Models that are there already, given to the command line: good ones, and what can be wrong."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from diptych.cli.main import run
from diptych.core.errors import ConfigError
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.compress import find_again
from diptych.fitting.settings import Settings
from diptych.inference import store

onnx = pytest.importorskip("onnx")

TEACHER = """
[teacher]
name = "teacher"
network = {name = "residual", stem = 8, widths = [16], blocks = [0]}
training = {epochs = 1, learning_rate = 0.15}
"""
PROGRAMS = """
[[programs]]
runtime = "onnxruntime"
precision = "fp32"
[[programs]]
runtime = "onnxruntime"
precision = "int8"
"""
STUDENT = """
[[students]]
name = "student"
network = {name = "residual", stem = 8, widths = [16], blocks = [0]}
training = {epochs = 2, batch_size = 8, learning_rate = 0.15}
"""
ALONE = TEACHER + PROGRAMS
Compress = Callable[..., tuple[int, str, str]]


@pytest.fixture
def compress(
    elsewhere: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Compress:
    """Give what runs the verb in an empty folder with a quick recipe: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(TEACHER + STUDENT + PROGRAMS)
    for file in elsewhere.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())

    def call(*words: str, verb: str = "compress") -> tuple[int, str, str]:
        code = run([verb, *words, "--recipe", "quick.toml"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def module(function: str, *words: str) -> list[str]:
    return [f"net.py:{function}", "digits", "--weights", "net.safetensors", *words]


def linear(path: Path, outputs: tuple[str, ...] = ("scores",), **steps: str) -> Path:
    """Write a model of digits that knows them by their nearest mean; `steps` come last."""
    digits = read("digits", Options(seed=0)).train
    flat = digits.inputs.reshape(-1, 64).astype(np.float32) / 255
    means = np.stack([flat[digits.targets == label].mean(0) for label in range(10)])
    make, types = onnx.helper, onnx.TensorProto
    nodes = [
        make.make_node("Flatten", ["x"], ["flat"]),
        make.make_node("Gemm", ["flat", "weights", "bias"], ["nearness"]),
    ]
    last = "nearness"
    for kind, domain in steps.items():
        nodes.append(make.make_node(kind, [last], [kind], name=f"{kind} of mine", domain=domain))
        last = kind
    nodes += [make.make_node("Identity", [last], [name]) for name in outputs]
    constants = {"weights": 2 * means.T, "bias": -(means**2).sum(1)}
    graph = make.make_graph(
        nodes,
        "linear",
        [make.make_tensor_value_info("x", types.FLOAT, ("N", 1, 8, 8))],
        [make.make_tensor_value_info(name, types.FLOAT, ("N", 10)) for name in outputs],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
            for name, value in constants.items()
        ],
    )
    domains = [make.make_opsetid(domain, 1) for domain in set(steps.values()) - {""}]
    opsets = [make.make_opsetid("", 17), *domains]
    onnx.save(make.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.mark.slow
def test_a_module_of_ones_own_is_a_candidate_itself_by_the_output_that_is_chosen(
    compress: Compress, tmp_path: Path
) -> None:
    code, _, told = compress(*module("gives_tuple"))
    assert code == 2
    assert "gives 2 outputs: features, scores" in told
    assert "hint: choose one: --output features" in told
    words = ("--output", "scores", "--budget", "drop<=2%, size<=60KB", "--json")
    code, said, told = compress(*module("gives_dict", *words))
    assert code == 0, told
    document = json.loads(said)
    assert document["bundle"] == str(tmp_path / "net-compressed.dip")
    assert document["teacher"]["accuracy"] > 0.95
    assert document["model"]["size_bytes"] <= 60_000
    assert (document["model"]["name"], document["model"]["precision"]) == ("teacher", "int8")
    assert "net.py:gives_dict takes pixels from 0 to 1, channels first: it knows 1" in told
    assert not (tmp_path / "net-compressed.fit").exists()
    assert "class Net" not in (tmp_path / "net-compressed.dip" / "bundle.json").read_text()


@pytest.mark.slow
def test_an_onnx_file_is_one_too_and_a_budget_that_nothing_can_keep_is_explained(
    compress: Compress, tmp_path: Path
) -> None:
    linear(tmp_path / "two.onnx", ("scores", "same"))
    code, _, told = compress("two.onnx", "digits")
    assert (code, "gives 2 outputs: scores, same" in told) == (2, True)
    assert "hint: choose one: --output scores" in told
    (tmp_path / "quick.toml").write_text(ALONE)
    code, said, _ = compress(
        "two.onnx", "digits", "--output", "same", "--budget", "drop<=9%, size<=1KB"
    )
    assert code == 3
    assert f"bundle: {tmp_path / 'two-compressed.dip'}" in said
    assert "nearest, on the validation split:" in said
    assert "teacher onnxruntime int8: drop" in said
    assert "cheapest relaxation: size" in said


@pytest.mark.slow
def test_an_operation_that_targets_lack_is_named_with_its_layer_and_students_are_made(
    compress: Compress,
) -> None:
    words = ["digits", "--teacher", "net.py:odd", "--weights", "net.safetensors", "--json"]
    code, said, told = compress(*words, "--budget", "p99<=1s", verb="fit")
    assert code == 0, told
    reason = "the network's operation 'aten.linalg_eig' in layer 'classifier.1' (Odd)"
    assert f"left out: onnxruntime fp32, onnxruntime int8: {reason}" in told
    assert json.loads(said)["model"]["name"] == "student"


def test_an_operation_that_a_runtime_lacks_is_named(compress: Compress, tmp_path: Path) -> None:
    linear(tmp_path / "odd.onnx", Wobble="com.example")
    code, _, told = compress("odd.onnx", "digits")
    assert code == 2
    assert "Wobble" in told
    assert len(told.strip().splitlines()) <= 3


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("raises", "raises() raises OSError: no weights here"),
        ("nothing", "gives a NoneType, no torch.nn.Module"),
        ("absent", "has no 'absent'"),
        ("by_chance", "answers the same items differently each time, first in classifier"),
        ("fixed_batch", "gives (1, 10) for a batch of 3, no scores (N, K)"),
        ("fewer", "gives 7 scores, and the data has 10 labels (0, 1, 2, ...)"),
        ("reordered", "has its labels in another order: its output 0 is mostly '1'"),
    ],
)
def test_what_is_wrong_with_a_module_is_one_line(
    compress: Compress, function: str, said: str
) -> None:
    code, _, told = compress(*module(function))
    errors = [line for line in told.splitlines() if line.startswith(("error", "hint"))]
    assert code == 2
    assert said in errors[0]
    assert len(errors) == 2


def test_a_module_in_training_mode_is_told_of_and_one_without_weights_refused(
    compress: Compress,
) -> None:
    code, _, told = compress("net.py:make", "digits")
    assert code == 2
    assert "is in training mode: it is used in evaluation mode" in told
    assert "no more than chance" in told
    code, _, told = compress("net.py:without_weights", "digits")
    assert (code, "on the device meta" in told, "give --weights" in told) == (2, True, True)


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["net.py", "digits"], "is no model that can be compressed", "file.py:FUNCTION"),
        (["net.dip", "digits"], "there is no net.dip", "give a bundle"),
        (["a.pt2", "digits"], "may hold code, and is not opened", "file.py:FUNCTION"),
        (["a.onnx", "digits"], "there is no file a.onnx", "give an ONNX file"),
        (["net.py:make"], "only a bundle says what it was trained on", "give DATA"),
        (["two.onnx"], "only a bundle says what it was trained on", "give DATA"),
        (["two.onnx", "digits", "--weights", "net.safetensors"], "comes with its weights", "out"),
        (["net.py:make", "digits", "--weights", "net.py"], "may hold code", "safetensors"),
    ],
)
def test_what_is_no_model_is_told(
    compress: Compress, tmp_path: Path, words: list[str], said: str, hint: str
) -> None:
    linear(tmp_path / "two.onnx", ("scores", "same"))
    code, _, told = compress(*words)
    errors = [line for line in told.splitlines() if line.startswith(("error", "hint"))]
    assert code == 2
    assert said in errors[0]
    assert hint in errors[1]


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["--teacher", "net.py:raises"], "raises OSError: no weights here", "without arguments"),
        (["--output", "scores"], "--weights and --output are of a teacher", "give --teacher"),
    ],
)
def test_what_is_wrong_with_a_teacher_is_told_by_fit_too(
    compress: Compress, words: list[str], said: str, hint: str
) -> None:
    code, _, told = compress("digits", *words, verb="fit")
    errors = told.strip().splitlines()
    assert code == 2
    assert said in errors[0]
    assert hint in errors[1]


def test_weights_outside_of_an_onnx_file_are_refused(compress: Compress, tmp_path: Path) -> None:
    model = onnx.load(linear(tmp_path / "in.onnx"))
    for tensor in model.graph.initializer:
        onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd")
        tensor.ClearField("raw_data")
    (tmp_path / "out.onnx").write_bytes(model.SerializeToString())
    code, _, told = compress("out.onnx", "digits")
    assert code == 2
    assert "keeps tensors in another file" in told
    assert "passwd" not in told


def test_an_onnx_file_over_the_limit_is_refused(compress: Compress, tmp_path: Path) -> None:
    with (tmp_path / "huge.onnx").open("wb") as file:
        os.truncate(file.fileno(), (1 << 30) + 1)  # a hole, which takes no room
    code, _, told = compress("huge.onnx", "digits")
    assert (code, "is larger than 1.07 GB" in told) == (2, True)


def folders(place: Path) -> Path:
    """Write ten pictures to train on, which are those of the test split too."""
    digits = read("digits", Options(seed=0))
    splits = {"train": (digits.train, 1), "validation": (digits.validation, 14)}
    for name, (split, count) in (splits | {"test": splits["train"]}).items():
        for label in range(10):
            folder = place / name / str(label)
            folder.mkdir(parents=True)
            for row in np.flatnonzero(split.targets == label)[:count]:
                Image.fromarray(split.inputs[row, :, :, 0]).save(folder / f"{row}.png")
    return place


@pytest.mark.slow
def test_items_of_the_test_split_do_not_calibrate_and_too_few_items_do_not(
    compress: Compress, tmp_path: Path
) -> None:
    linear(tmp_path / "in.onnx")
    (tmp_path / "quick.toml").write_text(ALONE)
    data = str(folders(tmp_path / "data"))
    _, said, told = compress("in.onnx", data, "--budget", "p99<=1s", "--json")
    assert "10 items are in the test split too and were passed over" in told
    assert "0 items are too few for 8 bits: no program will be in int8" in told
    assert json.loads(said)["model"]["precision"] == "fp32"


@pytest.mark.slow
def test_the_data_of_a_bundle_is_found_by_its_name_or_asked_for(
    compress: Compress, tmp_path: Path
) -> None:
    (tmp_path / "quick.toml").write_text(ALONE)
    words = ["digits", "--recipe", "quick.toml", "--out", "trained.dip", "--seed", "3"]
    assert run(["train", *words]) == 0
    code, said, told = compress("trained.dip", "--budget", "p99<=1s")
    assert code == 0, told
    assert f"bundle: {tmp_path / 'trained-compressed.dip'}" in said
    settings = Settings(teacher=tmp_path / "trained.dip")
    record = store.read(tmp_path / "trained.dip")[0].provenance.data
    with pytest.raises(ConfigError, match="on 'photos', which is not found here by") as asked:
        find_again(settings, replace(record, name="photos"))
    assert asked.value.hint == "give DATA"
    with pytest.raises(ConfigError, match=r"'digits' is not what .* was trained on any more"):
        find_again(settings, replace(record, sha256="0" * 64))
