import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from diptych.measure.memory import peak_rss_bytes, rss_bytes, total_bytes

STATUS = "Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n"


def test_the_status_file_is_read_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    assert rss_bytes(tmp_path / "status") == 1024 * 1024
    assert peak_rss_bytes(tmp_path / "status") == 2048 * 1024


def test_without_a_status_file_the_peak_comes_from_getrusage(tmp_path: Path) -> None:
    fallback = peak_rss_bytes(tmp_path / "absent")
    assert 0.5 * peak_rss_bytes() < fallback
    assert rss_bytes(tmp_path / "absent") == peak_rss_bytes(tmp_path / "absent")


def test_memory_that_is_written_is_seen_and_the_peak_stays() -> None:
    before = rss_bytes()
    block = np.ones(8_000_000)
    during = rss_bytes()
    assert during - before > 0.9 * block.nbytes
    del block
    assert peak_rss_bytes() >= during - 1_000_000


def test_the_total_is_the_machines_or_the_containers(tmp_path: Path) -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert total_bytes(tmp_path) == machine
    for name, text in (("proc/self/cgroup", "0::/"), ("sys/fs/cgroup/memory.max", "4096")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert total_bytes(tmp_path) == 4096
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(str(2 * machine))
    assert total_bytes(tmp_path) == machine


def test_a_limit_of_the_process_itself_counts() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (10**9, 10**9))\n"
        "from diptych.measure.memory import total_bytes; print(total_bytes())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == min(10**9, total_bytes())
