"""ONNX Runtime on a graphics processor: what falls back to the processor is seen."""

import json
import logging
import os

import numpy as np
import onnxruntime
import pytest

from diptych.core.errors import BundleError
from diptych.inference.runtimes import obstacle
from diptych.inference.runtimes.onnxruntime import create, options
from diptych.inference.runtimes.onnxruntime_gpu import (
    CUDA,
    TENSORRT,
    _example,
    check_profile,
    open_cuda,
    open_on,
    open_tensorrt,
)


def profile(*steps: tuple[str, str]) -> bytes:
    events = [
        {"cat": "Session", "name": "session_initialization"},
        {"cat": "Node", "name": "fence"},
    ]
    told = [{"op_name": name, "provider": provider} for name, provider in steps]
    return json.dumps([*events, *({"cat": "Node", "args": args} for args in told)]).encode()


@pytest.fixture
def model(tiny, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny.contents["model.onnx"])
    return path


@pytest.mark.parametrize("opener", [open_cuda, open_tensorrt])
@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="it is there")
def test_a_runtime_without_the_provider_is_refused_before_anything_is_opened(opener, tmp_path):
    with pytest.raises(BundleError, match=r"has no .*ExecutionProvider") as told:
        opener([tmp_path / "absent.onnx"], 1)
    assert "doctor" in told.value.hint


@pytest.mark.parametrize(("before", "after"), [(None, "0"), ("1", "1")])
def test_tensorrt_computes_in_float32_unless_a_person_wants_it_otherwise(
    before, after, monkeypatch, tmp_path
):
    name = "NVIDIA_TF32_OVERRIDE"
    monkeypatch.setenv(name, before or "")
    if before is None:
        monkeypatch.delenv(name)
    seen = []
    monkeypatch.setattr(
        "diptych.inference.runtimes.onnxruntime_gpu.open_on",
        lambda *given: seen.append(os.environ[name]),
    )
    open_tensorrt([tmp_path / "a.onnx"], 1)
    assert seen == [after]


def test_a_session_that_fell_back_is_refused(model, monkeypatch):
    """The processor is among the providers and the wanted one is not: the silent fallback."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA])
    chains = {CUDA: ["CPUExecutionProvider"]}
    monkeypatch.setattr("diptych.inference.runtimes.onnxruntime_gpu.CHAINS", chains)
    with pytest.raises(BundleError, match="fell back"):
        open_on(CUDA, [model], 1)


def test_the_profile_of_a_real_run_says_who_computed_each_step(model, tmp_path):
    chosen = options(1)
    chosen.enable_profiling = True
    chosen.profile_file_prefix = str(tmp_path / "run")
    session = create(model, chosen, ["CPUExecutionProvider"])
    session.run(None, {"pixels": _example(session)})
    written = (tmp_path / session.end_profiling()).read_bytes()
    check_profile(written, "CPUExecutionProvider")
    with pytest.raises(BundleError, match="ran no step of the program on CUDA"):
        check_profile(written, CUDA)


def test_single_steps_on_the_processor_are_named(caplog):
    steps = [("Conv", CUDA), ("NonZero", "CPUExecutionProvider"), ("Gemm", CUDA)]
    with caplog.at_level(logging.WARNING):
        check_profile(profile(*steps), CUDA)
    assert "1 of 3 steps run on the processor: NonZero" in caplog.text


def test_tensorrt_may_leave_steps_to_cuda_but_not_all(caplog):
    check_profile(profile(("Conv", TENSORRT), ("Gather", CUDA)), TENSORRT)
    assert not caplog.text
    with pytest.raises(BundleError, match="no step of the program on Tensorrt"):
        check_profile(profile(("Conv", CUDA)), TENSORRT)


def test_the_example_is_one_input_of_the_type_that_the_program_takes(model):
    example = _example(create(model, options(1), ["CPUExecutionProvider"]))
    assert (example.shape, example.dtype) == ((1, 8, 8, 3), np.uint8)


@pytest.mark.gpu
@pytest.mark.skipif(bool(obstacle("onnxruntime-cuda")), reason="it cannot run here")
def test_on_a_graphics_processor_it_computes_what_numpy_computes(tiny, model):
    session = open_cuda([model], 1)
    np.testing.assert_allclose(session.run(tiny.inputs), tiny.logits(tiny.inputs), rtol=1e-3)
