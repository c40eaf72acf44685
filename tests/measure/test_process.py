import sys
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.measure.process import probe

MB = 1 << 20


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_every_run_is_a_new_process_with_figures_of_its_own(tmp_path: Path) -> None:
    seen = tmp_path / "pids"
    code = f"import os; open({str(seen)!r}, 'a').write(str(os.getpid()) + chr(10))"
    figures = probe(python(code), runs=3)
    assert len(set(seen.read_text().split())) == 3
    for numbers in (figures.wall_ms, figures.cpu_seconds, figures.peak_rss_bytes):
        assert numbers.shape == (3,)
        assert (numbers > 0).all()


def test_peak_memory_is_the_commands_own_even_when_this_process_is_large() -> None:
    ballast = np.ones(25 * MB)  # 200 MB here must not show there
    small = probe(python("pass"), runs=1).peak_rss_bytes[0]
    large = probe(python(f"b = b'x' * {64 * MB}"), runs=1).peak_rss_bytes[0]
    assert ballast.nbytes == 200 * MB
    assert small < 50 * MB
    assert 60 * MB < large - small < 70 * MB


def test_cpu_time_follows_the_work() -> None:
    idle = probe(python("pass"), runs=1)
    busy = probe(python("for _ in range(5_000_000): pass"), runs=1)
    assert busy.cpu_seconds[0] > idle.cpu_seconds[0] + 0.02
    assert busy.wall_ms[0] >= 1e3 * (busy.cpu_seconds[0] - 0.02)


def test_a_failing_command_is_one_line_with_its_last_words() -> None:
    with pytest.raises(ConfigError, match=r"ended with code 1: ValueError: no model") as caught:
        probe(python("raise ValueError('no model')"), runs=1)
    assert "\n" not in caught.value.message


def test_a_missing_command_is_named() -> None:
    with pytest.raises(ConfigError, match="cannot start no-such-program"):
        probe(["no-such-program"], runs=1)


def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ConfigError, match=r"took longer than 0\.2 s"):
        probe(python("import time; time.sleep(60)"), runs=1, timeout_s=0.2)


@pytest.mark.parametrize(("command", "runs"), [([], 1), (["true"], 0)])
def test_nothing_to_measure_is_refused(command: list[str], runs: int) -> None:
    with pytest.raises(ConfigError, match="cannot measure"):
        probe(command, runs=runs)
