import json
import subprocess
import sys
from importlib.metadata import metadata, version
from pathlib import Path

import msgspec
import pytest

from diptych.cli.doctor import (
    LIBRARIES,
    Library,
    compiler_capability,
    counter_capability,
    cuda_capability,
    examine,
    import_complaint,
    library_capability,
    processor_capability,
    target_capabilities,
)
from diptych.cli.main import run
from diptych.core.manifest import Machine
from diptych.core.progress import Step
from diptych.measure.machine import describe
from diptych.targets import CONVERTERS, TARGETS

NUMPY = Library("arrays", "numpy", "numpy", "train")
ABSENT = Library("nothing", "no_such_module", "no-such-distribution", "serve")


def make_counter(root: Path) -> Path:
    zone = root / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("1000\n")
    return zone


def test_a_library_that_imports_works() -> None:
    found = library_capability(NUMPY, lambda module: "")
    assert (found.status, found.detail, found.hint) == ("works", version("numpy"), "")


def test_a_library_that_was_not_imported_is_only_installed() -> None:
    assert library_capability(NUMPY).status == "installed"


def test_a_library_that_fails_to_import_is_broken_and_says_why() -> None:
    found = library_capability(NUMPY, lambda module: f"OSError: no lib{module}.so")
    assert found.status == "broken"
    assert found.detail.endswith("OSError: no libnumpy.so")
    assert found.hint == f"pip install --force-reinstall numpy=={version('numpy')}"


@pytest.mark.parametrize(
    ("flags", "status"),
    [(("avx2",), "missing"), (("avx2", "avx_vnni"), "works"), ((), "missing")],
)
def test_the_processor_says_what_int8_is_worth(flags: tuple[str, ...], status: str) -> None:
    machine = msgspec.structs.replace(describe(), system="Linux 6.1 x86_64", flags=flags)
    found = processor_capability(machine)
    assert (found.status, "cut" in found.detail) == (status, status == "missing")
    assert ("not known" in found.detail) == (not flags)


def test_a_missing_library_comes_with_the_command_that_installs_it() -> None:
    found = library_capability(ABSENT, lambda module: pytest.fail("must not be imported"))
    assert (found.status, found.hint) == ("missing", "pip install 'diptych[serve]'")
    base = library_capability(ABSENT._replace(extra=""))
    assert base.hint == "pip install no-such-distribution"


def test_every_extra_that_the_table_names_is_one_of_the_package() -> None:
    extras = metadata("diptych").get_all("Provides-Extra") or []
    assert {library.extra for library in LIBRARIES} <= {"", *extras}


def test_an_import_is_tried_in_a_new_process() -> None:
    assert import_complaint("json") == ""
    assert import_complaint("no_such_module").startswith("ModuleNotFoundError: No module named")
    assert "no_such_module" not in sys.modules


def test_counters_that_can_be_read_are_counted(
    tmp_path: Path,
) -> None:
    (make_counter(tmp_path) / "energy_uj").write_text("5\n")
    found = counter_capability(tmp_path)
    assert found.status == "works"
    assert found.detail == "1 package(s)"


@pytest.mark.parametrize("hidden", [True, False])
def test_a_machine_without_readable_counters_is_told_what_happens_instead(
    tmp_path: Path, hidden: bool
) -> None:
    if hidden:
        make_counter(tmp_path)
    found = counter_capability(tmp_path)
    assert (found.status, found.hint) == ("missing", "")
    assert found.detail == "energy is modelled from CPU time"


def test_cuda_devices_are_seen_through_the_drivers_files(tmp_path: Path) -> None:
    assert cuda_capability(tmp_path).status == "missing"
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert cuda_capability(tmp_path).status == "missing"
    (tmp_path / "dev/nvidia0").touch()
    assert cuda_capability(tmp_path).detail == "1 device(s)"
    gpu = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0"
    gpu.mkdir(parents=True)
    (gpu / "information").write_text("Model: \t\t NVIDIA H200\nIRQ:   \t 16\n")
    found = cuda_capability(tmp_path)
    assert (found.status, found.detail) == ("works", "NVIDIA H200")


def test_the_compiler_is_the_one_on_the_path() -> None:
    found = compiler_capability()
    there = subprocess.run(["/bin/sh", "-c", "command -v g++"], capture_output=True, check=False)
    assert (found.status == "works") == (there.returncode == 0)


def test_everything_is_examined_and_progress_is_reported(tmp_path: Path) -> None:
    steps: list[Step] = []
    found = examine(None, root=tmp_path, report=steps.append)
    assert len(found) == len(LIBRARIES) + 4 + len(TARGETS)
    assert [step.done for step in steps] == list(range(1, len(LIBRARIES) + 1))


def test_json_is_one_document_and_the_exit_code_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json", "--quick"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert captured.err == ""
    assert msgspec.convert(document["machine"], Machine).cores >= 1
    names = [one["name"] for one in document["capabilities"]]
    assert {"onnxruntime", "torch", "RAPL", "g++"} <= set(names)
    assert all(set(one) >= {"status", "hint"} for one in document["capabilities"])


def test_the_table_names_every_capability(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert all(library.distribution in shown for library in LIBRARIES)
    assert "Python 3." in shown


def test_a_quick_look_imports_no_library() -> None:
    code = (
        "import sys; from diptych.cli.main import run; run(['doctor', '--quick', '--json']);"
        "print(sorted({'torch', 'onnxruntime', 'openvino', 'nncf'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.slow
def test_the_full_examination_imports_for_real(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    statuses = {
        one["name"]: one["status"] for one in json.loads(capsys.readouterr().out)["capabilities"]
    }
    assert statuses["pillow"] == statuses["onnxruntime"] == "works"
    assert "installed" not in statuses.values()


def test_a_target_whose_programs_cannot_be_made_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONVERTERS, "litert", ("no_such_library", "edge-export"))
    found = {one.name: one for one in target_capabilities(tmp_path)}["edge"]
    assert (found.status, found.detail) == ("missing", "no_such_library is not installed")
    assert found.hint == "pip install 'diptych[edge-export]'"


def test_a_target_without_its_device_is_said_to_be_unverified(tmp_path: Path) -> None:
    found = {one.name: one for one in target_capabilities(tmp_path)}
    assert found["cpu"].status == "works"
    missing = found["cuda"]
    assert (missing.status, missing.hint) == ("missing", "")
    assert missing.detail.endswith("programs would be unverified")
