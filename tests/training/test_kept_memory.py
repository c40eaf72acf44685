"""Oracle: the pages that the system says it had to map, with the memory kept and not."""

import json
import platform
import subprocess
import sys

import pytest

from diptych.training.kept_memory import kept_memory

MIB = 1 << 20
PROGRAM = """
import json, resource
from contextlib import nullcontext
import torch
from diptych.training.kept_memory import kept_memory

ROUNDS = 15

def faults(context, least=32):
    # of rounds of several sizes in MiB, after as many that bring the heap to its size
    x = torch.zeros(40 << 20, dtype=torch.uint8)
    with context:
        for number in range(2 * ROUNDS):
            if number == ROUNDS:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            part = torch.relu(x[: (least + number % 3 * 4) << 20])
            part = torch.relu(part)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

given, kept = faults(nullcontext()), faults(kept_memory())
before = resident()
with kept_memory():
    many = [torch.ones(8 << 20, dtype=torch.uint8) for _ in range(16)]
    del many
    held = resident() - before
seen = {"given": given, "kept": kept, "held": held, "left": resident() - before}
seen["large"], seen["smaller"] = faults(nullcontext()), faults(nullcontext(), 8)
print(json.dumps(seen))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory is kept by glibc")
def test_freed_memory_is_mapped_once_and_given_back_at_the_end_and_as_usual_later() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stdout)
    assert seen["given"] > 3 * seen["kept"]
    assert seen["held"] > 64 * MIB
    assert seen["left"] < 32 * MIB
    assert seen["large"] > 3 * seen["kept"], "the largest are given back afterwards"
    assert seen["smaller"] < seen["large"] / 10, "and others are kept, as by the library's own rule"


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    with kept_memory():
        pass
