"""The table of runtimes."""

import subprocess
import sys

import pytest

from diptych.core.errors import ConfigError, MissingExtraError
from diptych.inference import runtimes
from diptych.inference.runtimes import RUNTIMES, Engine, available, obstacle, open_session, remedy


def test_only_known_and_installed_runtimes_are_available():
    assert available("onnxruntime")
    assert not available("numpy")
    assert not available("not_a_runtime")


def test_asking_what_is_available_imports_no_runtime():
    code = (
        "import sys; from diptych.inference.runtimes import RUNTIMES, available; "
        "[available(name) for name in RUNTIMES]; "
        "sys.exit(any(engine.library in sys.modules for engine in RUNTIMES.values()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_runtime_and_no_threads_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown runtime 'onnx'") as seen:
        open_session("onnx", [tmp_path / "x"])
    assert "onnxruntime" in seen.value.hint
    for name in RUNTIMES:
        for threads in (0, 1025, 1 << 40):
            with pytest.raises(ConfigError, match=f"threads is {threads}"):
                open_session(name, [tmp_path / "x"], threads=threads)


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Give a library for graphics processors, with a plugin or without, and a folder of devices."""
    (tmp_path / "made_library/capi").mkdir(parents=True)
    (tmp_path / "made_library/__init__.py").touch()
    (tmp_path / "dev").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    engine = Engine("absent", "made_library", "cuda", "open_cuda", "providers_cuda", "onnxruntime")
    monkeypatch.setitem(runtimes.RUNTIMES, "made", engine)
    return tmp_path


def test_a_graphics_processor_is_looked_for_without_importing_anything(library):
    assert obstacle("made", library / "dev") == "this made_library is built for processors only"
    (library / "made_library/capi/libonnxruntime_providers_cuda.so").touch()
    (library / "dev/nvidiactl").touch()
    assert obstacle("made", library / "dev") == "there is no CUDA device"
    (library / "dev/nvidia0").touch()
    assert obstacle("made", library / "dev") == ""
    assert "made_library" not in sys.modules


def test_what_is_not_installed_is_said_with_what_to_install(library, monkeypatch, tmp_path):
    absent = Engine("absent", "no_such_library", "edge")
    monkeypatch.setitem(runtimes.RUNTIMES, "made", absent)
    assert obstacle("made") == "no_such_library is not installed"
    assert remedy("made") == "pip install 'diptych[edge]'"
    with pytest.raises(MissingExtraError, match="'made' cannot run here: no_such_library is not"):
        open_session("made", [tmp_path / "x"])


def test_a_stand_in_is_a_runtime_of_the_base_install():
    assert {engine.stand_in for engine in RUNTIMES.values()} == {"", "onnxruntime"}
    assert RUNTIMES["onnxruntime"].extra == ""


def test_a_library_that_cannot_be_imported_is_said_with_its_reason(monkeypatch, tmp_path):
    monkeypatch.setitem(runtimes.RUNTIMES, "made", Engine("no_such_door", "numpy"))
    with pytest.raises(
        MissingExtraError, match=r"numpy is damaged or lacks .*no_such_door"
    ) as seen:
        open_session("made", [tmp_path / "x"])
    assert "numpy" in seen.value.hint
