"""A new process that loads and predicts once."""

import sys

import numpy as np
import pytest
from msgspec import structs

from diptych.inference import golden, store
from diptych.inference.probe import main
from diptych.measure.process import probe


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_it_predicts_with_the_runtime_asked_for(tiny_bundle, runtime):
    assert main([str(tiny_bundle), runtime]) == 0


def test_a_bundle_that_cannot_be_used_is_one_line_and_code_2(tiny_bundle, capsys):
    (tiny_bundle / "model.onnx").write_bytes(b"")
    assert main([str(tiny_bundle)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_examples_that_differ_end_it_unless_they_are_known_to(tiny, tmp_path, capsys):
    logits = (tiny.logits(tiny.inputs) + 9).astype(np.float32)
    programs = tiny.manifest.programs
    wrong = golden.build(tiny.inputs, {program.name: logits for program in programs})
    manifest = structs.replace(tiny.manifest, files=(store.record("golden.npz", wrong),))
    store.write(tmp_path / "off.dip", manifest, {**tiny.contents, "golden.npz": wrong})
    assert main([str(tmp_path / "off.dip"), "onnxruntime"]) == 2
    assert "differ by 9" in capsys.readouterr().err
    assert main([str(tmp_path / "off.dip"), "onnxruntime", "warn"]) == 0


@pytest.mark.slow
def test_a_new_process_imports_neither_torch_nor_pyarrow_and_is_measured(tiny_bundle):
    code = (
        "import sys; from diptych.inference.probe import main; "
        f"assert main([{str(tiny_bundle)!r}, 'onnxruntime']) == 0; "
        "wrong = {'torch', 'pyarrow', 'openvino', 'onnx', 'typer'} & set(sys.modules); "
        "sys.exit(str(wrong) if wrong else 0)"
    )
    figures = probe([sys.executable, "-c", code], runs=3)
    assert (figures.wall_ms > 0).all()
    assert figures.peak_rss_bytes.max() < 300_000_000
