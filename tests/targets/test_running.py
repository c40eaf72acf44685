import tempfile
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import BundleError, TargetError
from diptych.targets.openvino import from_onnx
from diptych.targets.running import OTHERWISE, answers, refusals


def test_every_item_is_answered_and_no_file_is_left(trained, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reference = trained.logits(trained.test)
    for runtime, files in (
        ("onnxruntime", {"m.onnx": exported}),
        ("openvino", from_onnx(exported)),
    ):
        found = answers(runtime, files, trained.test)
        np.testing.assert_allclose(found, reference, atol=1e-3)
    assert list(Path(tmp_path).iterdir()) == []


def test_what_a_runtime_refuses_cannot_be_lowered_and_no_bundle_is_to_blame(trained):
    with pytest.raises(TargetError) as told:
        answers("onnxruntime", {"m.onnx": b"no model"}, trained.test[:1])
    assert told.value.hint == OTHERWISE
    with pytest.raises(TargetError, match=r"^net: no kernel for it$") as told, refusals("net"):
        raise BundleError("no kernel\n  for it", "see what is missing with: diptych doctor")
    assert told.value.hint == "see what is missing with: diptych doctor"
