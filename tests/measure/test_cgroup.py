from pathlib import Path

import pytest

from diptych.measure.cgroup import cpu_limit, memory_limit_bytes


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit_bytes(tmp_path) is None
    assert cpu_limit(tmp_path) is None


def test_version_2_limits_are_read_and_the_tightest_level_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/pod/box/memory.max": "max\n",
            "sys/fs/cgroup/pod/memory.max": "1000000\n",
            "sys/fs/cgroup/memory.max": "5000000\n",
            "sys/fs/cgroup/pod/box/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/pod/cpu.max": "max 100000\n",
        },
    )
    assert memory_limit_bytes(tmp_path) == 1_000_000
    assert cpu_limit(tmp_path) == 1.5


def test_a_container_that_sees_only_its_own_group_is_read_at_the_mount(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/docker/0123\n",
            "sys/fs/cgroup/memory.max": "7000000",
            "sys/fs/cgroup/cpu.max": "50000 100000",
        },
    )
    assert memory_limit_bytes(tmp_path) == 7_000_000
    assert cpu_limit(tmp_path) == 0.5


def test_version_1_limits_are_read_from_their_own_controllers(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/box\n2:cpu,cpuacct:/box\n1:name=systemd:/\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "2000000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "200000",
            "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert memory_limit_bytes(tmp_path) == 2_000_000
    assert cpu_limit(tmp_path) == 2.0


@pytest.mark.parametrize("text", ["", "nonsense", "0::/../../etc\n", "::::\n\n"])
def test_an_odd_group_file_means_no_limit(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"proc/self/cgroup": text, "sys/fs/etc/memory.max": "1"})
    assert memory_limit_bytes(tmp_path) is None
    assert cpu_limit(tmp_path) is None
