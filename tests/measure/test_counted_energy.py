from typing import Any

import pytest

from diptych.measure.counted_energy import CountedEnergy
from diptych.measure.gpu_energy import GpuMeter


def test_what_was_counted_before_and_now_is_added(nvml: Any) -> None:
    first = CountedEnergy(GpuMeter(["GPU-a"], nvml))
    nvml.counted_mj["GPU-a"] += 2000
    before = first.energy()
    nvml.counted_mj["GPU-a"] += 9999  # between the two parts of the run: another one's
    second = CountedEnergy(GpuMeter(["GPU-a"], nvml))
    second.go_on(before)
    nvml.counted_mj["GPU-a"] += 500
    energy = second.energy()
    assert energy is not None
    assert (energy.value_j, energy.label) == (2.5, "counter")
    assert energy.method.count("NVML") == 1


def test_a_run_of_which_a_part_was_not_counted_has_no_number(nvml: Any) -> None:
    use = CountedEnergy(GpuMeter(["GPU-a"], nvml))
    use.go_on(None)
    assert use.energy() is None
    counted = CountedEnergy(GpuMeter(["GPU-a"], nvml))
    unknown = CountedEnergy(None)
    unknown.go_on(counted.energy())
    assert unknown.energy() is None


def test_a_gpu_that_fell_off_ends_the_counting_and_not_the_run(
    nvml: Any, caplog: pytest.LogCaptureFixture
) -> None:
    use = CountedEnergy(GpuMeter(["GPU-a"], nvml))
    nvml.counted_mj.clear()
    assert [use.energy(), use.energy()] == [None, None]
    assert [record.message for record in caplog.records] == [
        "a GPU does not tell its energy any more: GPU is lost"
    ]
