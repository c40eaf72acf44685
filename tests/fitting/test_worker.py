import subprocess
import sys
from pathlib import Path


def test_a_worker_without_a_supervisor_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "diptych.fitting.worker", str(tmp_path), "inf", "60"]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ended.returncode != 0
    assert "a worker was started without a supervisor" in ended.stderr
