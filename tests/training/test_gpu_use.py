from typing import Any

import pytest
import torch

from diptych.measure.gpu_energy import GpuMeter
from diptych.training.gpu_use import GpuUse, meter_of
from diptych.training.team import SOLO, Team

CUDA = torch.device("cuda")


def test_what_was_counted_before_and_now_is_added(nvml: Any) -> None:
    first = GpuUse(GpuMeter(["GPU-a"], nvml))
    nvml.counted_mj["GPU-a"] += 2000
    before = first.energy()
    nvml.counted_mj["GPU-a"] += 9999  # between the two parts of the run: another one's
    second = GpuUse(GpuMeter(["GPU-a"], nvml))
    second.go_on(before)
    nvml.counted_mj["GPU-a"] += 500
    energy = second.energy()
    assert energy is not None
    assert (energy.value_j, energy.label) == (2.5, "counter")
    assert energy.method.count("NVML") == 1


def test_a_run_of_which_a_part_was_not_counted_has_no_number(nvml: Any) -> None:
    use = GpuUse(GpuMeter(["GPU-a"], nvml))
    use.go_on(None)
    assert use.energy() is None
    counted = GpuUse(GpuMeter(["GPU-a"], nvml))
    unknown = GpuUse(None)
    unknown.go_on(counted.energy())
    assert unknown.energy() is None


def test_a_gpu_that_fell_off_ends_the_counting_and_not_the_run(
    nvml: Any, caplog: pytest.LogCaptureFixture
) -> None:
    use = GpuUse(GpuMeter(["GPU-a"], nvml))
    nvml.counted_mj.clear()
    assert [use.energy(), use.energy()] == [None, None]
    assert [record.message for record in caplog.records] == [
        "a GPU does not tell its energy any more: GPU is lost"
    ]


def test_only_the_first_process_of_one_machine_counts() -> None:
    class Other(Team):
        rank, size, local_size = 1, 2, 2

    class Far(Team):
        size, local_size = 4, 2

    assert meter_of(torch.device("cpu"), SOLO) is None
    assert meter_of(CUDA, Other()) is None
    assert meter_of(CUDA, Far()) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_that_computes_uses_energy() -> None:
    pytest.importorskip("pynvml")
    meter = meter_of(torch.device("cuda:0"), SOLO)
    assert meter is not None
    square = torch.randn(4096, 4096, device="cuda:0")
    for _ in range(200):
        square = (square @ square).tanh()
    torch.cuda.synchronize()
    assert 0 < meter.energy().value_j < 1e4
