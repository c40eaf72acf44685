import subprocess
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from diptych.core.errors import TargetError
from diptych.measure.machine import cuts_sums, describe

torch = pytest.importorskip("torch")
pytest.importorskip("nncf")

from torch import nn  # noqa: E402  after the check that it is there

from diptych.targets.onnx import export  # noqa: E402
from diptych.targets.openvino import from_onnx, quantize, round_weights  # noqa: E402

pytestmark = pytest.mark.slow

OFFLINE = """
import os, pathlib, socket, sys
def refuse(*arguments, **named):
    attempts.append(arguments)
    raise OSError("no network in this test")
attempts = []
socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from diptych.targets.openvino import from_onnx, from_qdq, quantize
from diptych.targets.quantization import quantize_onnx
from diptych.inference.runtimes import open_session
model = pathlib.Path(sys.argv[1]).read_bytes()
from_onnx(model)
pixels = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1), dtype=np.uint8)
from_qdq(quantize_onnx(model, pixels))
files = quantize(model, pixels)
for name, content in files.items():
    pathlib.Path(name).write_bytes(content)
open_session("openvino", [pathlib.Path(name) for name in files]).run(pixels)
import threading, time
senders = [t for t in threading.enumerate() if t is not threading.main_thread()]
for sender in senders:
    sender.join(5)
assert not attempts, attempts
assert "openvino_telemetry" not in sys.modules
"""


class Mixing(nn.Module):
    """A constant product before the network, as features have, that 8 bits would spoil."""

    def __init__(self, network):
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.register_buffer("forth", torch.randn(64, 64, generator=random).double())
        self.register_buffer("back", (1e3 * self.forth.inverse()).float())
        self.forth = self.forth.float()
        self.network = network

    def forward(self, pixels):
        x = self.back @ (self.forth @ pixels.reshape(-1, 64, 1).float()) / 1e3
        return self.network(x.reshape(-1, 8, 8, 1).round().to(torch.uint8))


@pytest.fixture(scope="module")
def quantized(trained, exported):
    return quantize(exported, trained.train)


def test_fp32_gives_the_networks_logits(trained, exported, run_files):
    logits = run_files("openvino", from_onnx(exported), trained.test)
    np.testing.assert_allclose(logits, trained.logits(trained.test), atol=1e-3)


def test_int8_keeps_accuracy_and_moves_logits_little(trained, quantized, run_files):
    logits = run_files("openvino", quantized, trained.test)
    reference = trained.logits(trained.test)
    assert np.abs(logits - reference).max() < 0.08 * np.ptp(reference)
    right = [(answer.argmax(1) == trained.labels).mean() for answer in (reference, logits)]
    assert abs(right[1] - right[0]) < 0.02


def test_a_weight_takes_a_byte(trained, quantized):
    assert list(quantized) == ["model.xml", "model.bin"]
    weights = sum(parameter.numel() for parameter in trained.network.parameters())
    assert len(quantized["model.bin"]) < weights + 2000


def test_what_comes_before_the_first_layer_stays_in_float(trained, run_files):
    network = Mixing(trained.network).eval()
    reference = trained.logits(trained.test)
    contents = quantize(export(network, trained.spec), trained.train)
    graph = ET.fromstring(contents["model.xml"])
    kinds = {layer.get("id"): layer.get("type") for layer in graph.iter("layer")}
    makers: dict[str, set[str]] = {}
    for edge in graph.iter("edge"):
        makers.setdefault(edge.get("to-layer"), set()).add(edge.get("from-layer"))
    before = next(layer for layer, kind in kinds.items() if kind == "MatMul")
    while makers.get(before):
        assert "FakeQuantize" not in {kinds[maker] for maker in makers[before]}
        before = next((m for m in makers[before] if kinds[m] != "Const"), "")
    difference = np.abs(run_files("openvino", contents, trained.test) - reference)
    assert np.sqrt(np.square(difference).mean()) < 0.01 * np.ptp(reference)
    assert difference.max() < (0.1 if cuts_sums(describe()) else 0.05) * np.ptp(reference)


def test_the_same_arguments_give_the_same_bytes(trained, exported, quantized):
    assert quantize(exported, trained.train) == quantized
    assert from_onnx(exported) == from_onnx(exported)


def test_nothing_is_printed(trained, exported, capfd):
    quantize(exported, trained.train[:16])
    assert capfd.readouterr() == ("", "")


def test_too_few_items_are_refused(trained, exported):
    with pytest.raises(TargetError, match="15 calibration items"):
        quantize(exported, trained.train[:15])


def test_what_is_not_a_model_is_refused_in_one_line():
    with pytest.raises(TargetError, match="OpenVINO cannot convert") as caught:
        from_onnx(b"not a model")
    assert "\n" not in caught.value.message


def test_nothing_is_sent_and_no_identifier_is_left_at_home(exported, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "model.onnx").write_bytes(exported)
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, "model.onnx"],
        cwd=tmp_path,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert list(home.iterdir()) == []


def test_halves_take_half_and_bfloat16_moves_logits_more_than_they_do(trained, exported, run_files):
    reference, off = trained.logits(trained.test), []
    files = [from_onnx(exported, halves=True), from_onnx(exported, halves=True, bf16=True)]
    for each in files:
        assert len(each["model.bin"]) < 0.6 * len(from_onnx(exported)["model.bin"])
        off.append(np.abs(run_files("openvino", each, trained.test) - reference).max())
    assert files[0]["model.bin"] == files[1]["model.bin"]
    assert 0 < off[0] < 0.002 * np.ptp(reference)
    assert off[1] < 0.05 * np.ptp(reference)


def test_weights_that_cannot_be_rounded_are_one_error():
    with pytest.raises(TargetError, match="OpenVINO cannot"):
        round_weights(b"no model", 4)
