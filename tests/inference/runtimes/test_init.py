"""The table of runtimes."""

import subprocess
import sys

import pytest

from diptych.core.errors import ConfigError
from diptych.inference.runtimes import RUNTIMES, available, open_session


def test_only_known_and_installed_runtimes_are_available():
    assert available("onnxruntime")
    assert not available("numpy")
    assert not available("not_a_runtime")


def test_asking_what_is_available_imports_no_runtime():
    code = (
        "import sys; from diptych.inference.runtimes import RUNTIMES, available; "
        "[available(name) for name in RUNTIMES]; sys.exit(any(n in sys.modules for n in RUNTIMES))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_runtime_and_no_threads_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown runtime 'onnx'") as seen:
        open_session("onnx", [tmp_path / "x"])
    assert "onnxruntime" in seen.value.hint
    for name in RUNTIMES:
        with pytest.raises(ConfigError, match="threads is 0"):
            open_session(name, [tmp_path / "x"], threads=0)
