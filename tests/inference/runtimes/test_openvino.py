"""OpenVINO behind its door."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import BundleError
from diptych.inference.runtimes import open_session
from diptych.inference.runtimes.hints import HINT
from diptych.inference.runtimes.telemetry import no_telemetry

with no_telemetry():
    pytest.importorskip("openvino")


@pytest.fixture
def write(tiny, tmp_path):
    def save(graph: bytes | None = None, weights: bytes | None = None):
        graph = tiny.contents["model.xml"] if graph is None else graph
        (tmp_path / "model.xml").write_bytes(graph)
        weights = tiny.contents["model.bin"] if weights is None else weights
        (tmp_path / "model.bin").write_bytes(weights)
        return [tmp_path / "model.xml", tmp_path / "model.bin"]

    return save


def test_calls_do_not_write_to_earlier_inputs_or_answers(tiny, write):
    session = open_session("openvino", write())
    inputs, answers = [], []
    rng = np.random.default_rng(0)
    for count in (1, 1, 4, 1, 2, 4, 1):
        inputs.append(rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8))
        answers.append(session.run(inputs[-1][:]))
    copies = np.random.default_rng(0)
    for pixels, answer in zip(inputs, answers, strict=True):
        same = copies.integers(0, 256, pixels.shape, dtype=np.uint8)
        np.testing.assert_array_equal(pixels, same)
        np.testing.assert_allclose(answer, tiny.logits(same), rtol=1e-4, atol=1e-4)


def test_nothing_is_cached_on_disk(write, tmp_path):
    paths = write()
    open_session("openvino", paths).close()
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_what_is_no_graph_is_refused(tiny, write):
    for graph in (b"", b"<?xml version='1.0'?><net/>", tiny.contents["model.onnx"], b"<net" * 99):
        with pytest.raises(BundleError):
            open_session("openvino", write(graph))
    with pytest.raises(BundleError, match="2 files"):
        open_session("openvino", write()[:1])


def test_weights_that_are_too_short_are_refused(write):
    with pytest.raises(BundleError):
        open_session("openvino", write(weights=b""))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'shape="?,8,8,3"', b'shape="?,8,8,999999999999"'),
        (b'size="36"', b'size="999999999999"'),
        (b'element_type="u8"', b'element_type="f64"'),
    ],
)
def test_absurd_graphs_are_refused(tiny, write, old, new):
    assert old in tiny.contents["model.xml"]
    with pytest.raises(BundleError):
        open_session("openvino", write(tiny.contents["model.xml"].replace(old, new)))


def test_a_batch_of_another_type_than_the_graph_takes_is_one_error(tiny, write):
    graph = tiny.contents["model.xml"].replace(b'element_type="u8"', b'element_type="f32"')
    session = open_session("openvino", write(graph))
    for count in (1, 2):
        with pytest.raises(BundleError, match="takes float32, not uint8"):
            session.run(tiny.inputs[:count])


def test_entities_are_not_expanded(tiny, write):
    bomb = b'<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a "' + b"x" * 1000 + b'">'
    for letter in range(10):
        bomb += b'<!ENTITY a%d "&a;&a;&a;&a;&a;&a;&a;&a;">' % letter
    bomb += b"]>" + tiny.contents["model.xml"].split(b"?>", 1)[1].replace(b"tiny", b"&a9;", 1)
    session = open_session("openvino", write(bomb))
    assert session.run(tiny.inputs[:1]).shape == (1, 3)


def test_a_batch_that_the_graph_cannot_take_is_one_error(write):
    session = open_session("openvino", write())
    with pytest.raises(BundleError, match="cannot run"):
        session.run(np.zeros((1, 9, 9, 4), np.uint8))


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from diptych.inference.runtimes import open_session

paths = [Path(word) for word in sys.argv[1:]]
sessions = [open_session("openvino", paths) for _ in range(4)]
while sessions:
    sessions.pop(0).close()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_after_sessions_are_closed_in_any_order_does_not_crash(
    tiny_bundle: Path,
) -> None:
    words = [str(tiny_bundle / name) for name in ("model.xml", "model.bin")]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.parametrize(("noted", "computed"), [("bf16", "bf16"), ("f16", "f32"), (None, "f32")])
def test_a_graph_is_computed_in_bfloat16_only_where_it_says_so(tiny, write, noted, computed):
    graph = tiny.contents["model.xml"]
    if noted is not None:
        note = (
            f'<rt_info><runtime_options><{HINT[-1]} value="{noted}"/></runtime_options></rt_info>'
        )
        graph = graph.split(b"<rt_info")[0].removesuffix(b"</net>") + note.encode() + b"</net>"
    session = open_session("openvino", write(graph))
    assert session._config[HINT[-1]] == computed
    np.testing.assert_allclose(session.run(tiny.inputs), tiny.logits(tiny.inputs), atol=0.2)


def test_a_graph_that_gives_something_else_than_float32_is_refused(tmp_path):
    openvino = pytest.importorskip("openvino")
    steps = pytest.importorskip("openvino.opset13")
    pixels = steps.parameter([-1, 4], np.uint8)
    model = openvino.Model([steps.convert(pixels, "f64")], [pixels], "doubles")
    openvino.save_model(model, tmp_path / "model.xml", compress_to_fp16=False)
    with pytest.raises(BundleError, match=r"model\.xml must give float32"):
        open_session("openvino", [tmp_path / "model.xml", tmp_path / "model.bin"])
