import tempfile
from pathlib import Path

import numpy as np

from diptych.targets.openvino import from_onnx
from diptych.targets.running import answers


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
