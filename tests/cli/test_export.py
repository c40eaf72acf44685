"""``diptych export`` as people and programs see it."""

import signal
from pathlib import Path

import pytest

from diptych.cli.export import page
from diptych.cli.main import run
from diptych.fitting.export import Lowered
from diptych.fitting.settings import Settings

PLAIN = Lowered(
    name="net-openvino-fp32",
    runtime="openvino",
    precision="fp32",
    size_bytes=5000,
    max_difference=1.5e-6,
    flips=0,
    n=32,
)


def test_people_see_how_far_a_program_is_from_the_network() -> None:
    shown = page(Path("a.dip"), "cpu", [PLAIN])
    assert "0 of 32" in shown
    assert "1.5e-06" in shown
    assert "yes" in shown
    assert shown.endswith("out: a.dip")
    assert "--data DATA measures" in shown


def test_what_could_not_run_here_says_why() -> None:
    from msgspec.structs import replace

    unrun = replace(PLAIN, runtime="onnxruntime-cuda", unverified="there is no CUDA device")
    assert "unverified: there is no CUDA device" in page(Path("a.dip"), "cuda", [unrun])


def test_machine_code_is_called_so() -> None:
    shown = page(Path("a.pt2"), "torch", [PLAIN])
    assert "this is machine code" in shown
    assert "--data" not in shown


def test_a_package_needs_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", str(tmp_path), "--target", "torch", "--data", "digits"]
    assert run(words) == 2
    assert "error: torch needs no data" in capsys.readouterr().err


def test_an_unknown_target_and_what_is_no_bundle_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(tmp_path), "--target", "gpu"]) == 2
    told = capsys.readouterr().err
    assert "there is no target 'gpu'" in told
    assert "hint: did you mean 'cuda'?" in told
    assert run(["export", str(tmp_path), "--target", "torch"]) == 2
    assert "is no bundle" in capsys.readouterr().err


@pytest.mark.parametrize(("target", "does"), [("cpu", "add_programs"), ("torch", "write_beside")])
def test_ctrl_c_ends_at_once_what_looks_at_no_request_to_stop(
    target: str,
    does: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        pytest.fail("went on")

    monkeypatch.setattr(f"diptych.cli.export.{does}", work)
    assert run(["export", "a.dip", "--target", target]) == 130
    assert capsys.readouterr().err.splitlines() == ["error: interrupted"]


def test_ctrl_c_asks_a_measurement_to_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(*given: object) -> None:
        signal.raise_signal(signal.SIGINT)
        settings = given[-1]
        assert isinstance(settings, Settings)
        assert settings.stop
        raise KeyboardInterrupt

    monkeypatch.setattr("diptych.cli.export.measure_again", work)
    assert run(["export", "a.dip", "--target", "cpu", "--data", "digits"]) == 130
    assert "stopping (Ctrl-C again" in capsys.readouterr().err
