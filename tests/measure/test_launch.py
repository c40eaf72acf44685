import json
import subprocess
import sys
from pathlib import Path

import pytest

from diptych.measure import launch


def launched(*command: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-I", "-S", launch.__file__, *command]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def test_one_json_line_is_printed_whatever_the_command_prints() -> None:
    done = launched("/bin/sh", "-c", "echo noise")
    wall_ms, cpu_seconds, peak_rss_bytes = json.loads(done.stdout)
    assert done.returncode == 0
    assert 0 < wall_ms < 10_000
    assert 0 <= cpu_seconds < wall_ms / 1e3 + 0.05
    assert peak_rss_bytes > 100_000


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_the_commands_own_failure_is_passed_on(script: str, code: int) -> None:
    assert launched("/bin/sh", "-c", script).returncode == code


def test_a_command_that_does_not_exist_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = str(tmp_path / "nothing")
    assert launch.main([missing]) == 127
    assert capsys.readouterr().err == f"cannot start {missing}: no such file or directory\n"
