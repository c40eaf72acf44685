import os
import platform
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.measure.machine import cuts_sums, describe, lacks_bf16, usable_cores, versions

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8488C
flags\t\t: fpu sse2 avx2 fma avx512f avx512_vnni amx_int8 made_up

processor\t: 1
model name\t: another
"""
ARM = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd crc32 asimddp\n\n"


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_an_x86_server_is_described_by_its_first_processor(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", X86)
    machine = describe(tmp_path)
    assert machine.cpu == "Intel(R) Xeon(R) Platinum 8488C"
    assert machine.flags == ("avx2", "fma", "avx512f", "avx512_vnni", "amx_int8")


def test_an_arm_board_is_described_by_its_device_tree(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", ARM)
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    machine = describe(tmp_path)
    assert machine.cpu == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine.flags == ("asimd", "asimddp")


def test_a_system_without_cpuinfo_still_has_a_name_and_no_flags(tmp_path: Path) -> None:
    machine = describe(tmp_path)
    assert machine.cpu
    assert machine.flags == ()


def test_the_description_survives_json() -> None:
    machine = describe()
    assert msgspec.json.decode(msgspec.json.encode(machine), type=Machine) == machine
    assert machine.python == platform.python_version()
    assert machine.versions["numpy"] == np.__version__


def test_a_quota_bounds_the_cores_but_never_below_one(tmp_path: Path) -> None:
    bound = len(os.sched_getaffinity(0))
    assert usable_cores(tmp_path) == bound
    write(tmp_path, "proc/self/cgroup", "0::/")
    for quota, expected in (("50000", 1), ("150000", 1), (f"{bound}99000", bound), ("max", bound)):
        write(tmp_path, "sys/fs/cgroup/cpu.max", f"{quota} 100000")
        assert usable_cores(tmp_path) == expected


def test_versions_leave_out_what_is_not_installed() -> None:
    assert versions(["numpy", "no-such-distribution"]) == {"numpy": np.__version__}


def test_describing_the_machine_imports_no_runtime() -> None:
    code = (
        "import sys; from diptych.measure.machine import describe; describe();"
        "print(sorted({'torch', 'onnxruntime', 'openvino', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("system", "flags", "cut"),
    [
        ("Linux 6.1 x86_64", ("avx2",), True),
        ("Linux 6.1 x86_64", ("avx2", "avx512f"), True),
        ("Linux 6.1 x86_64", ("avx2", "avx_vnni"), False),
        ("Linux 6.1 x86_64", ("avx2", "avx512f", "avx512_vnni"), False),
        ("Linux 6.1 x86_64", ("avx2", "amx_int8"), False),
        ("Darwin 24.0 x86_64", (), True),
        ("Windows 11 AMD64", (), True),
        ("Darwin 24.0 arm64", (), False),
        ("Linux 6.1 aarch64", ("asimd", "asimddp", "i8mm"), False),
    ],
)
def test_sums_are_cut_by_x86_not_known_to_have_instructions_for_whole_ones(
    system: str, flags: tuple[str, ...], cut: bool
) -> None:
    assert cuts_sums(replace(describe(), system=system, flags=flags)) is cut


@pytest.mark.parametrize(
    ("flags", "lacking"),
    [
        ((), False),
        (("avx2", "avx512f"), True),
        (("avx2", "avx512_bf16"), False),
        (("amx_bf16",), False),
        (("asimd", "bf16"), False),
        (("asimd",), True),
    ],
)
def test_bfloat16_is_lacking_where_known_instructions_have_it_not(
    flags: tuple[str, ...], lacking: bool
) -> None:
    assert lacks_bf16(replace(describe(), flags=flags)) is lacking
