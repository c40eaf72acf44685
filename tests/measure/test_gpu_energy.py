"""The energy of GPUs, on a stand-in for the library that counts what it is told."""

import subprocess
import sys
from typing import Any

import pytest

from diptych.core.errors import ConfigError
from diptych.measure.gpu_energy import GpuMeter


def test_the_energy_is_what_the_gpus_counted_since_then(nvml: Any) -> None:
    meter = GpuMeter(["GPU-a", "GPU-b"], nvml)
    assert meter.energy().value_j == 0
    nvml.counted_mj["GPU-a"] += 1500
    nvml.counted_mj["GPU-b"] += 250
    energy = meter.energy()
    assert (energy.value_j, energy.low_j, energy.high_j, energy.label) == (1.75,) * 3 + ("counter",)
    assert energy.method.startswith("NVML, 2 GPU(s)")


def test_another_gpu_is_not_counted(nvml: Any) -> None:
    meter = GpuMeter(["GPU-b"], nvml)
    nvml.counted_mj["GPU-a"] += 1500
    assert meter.energy().value_j == 0


def test_a_gpu_that_is_not_there_is_named(nvml: Any) -> None:
    with pytest.raises(ConfigError, match="no energy counter of GPU-c: Not Found"):
        GpuMeter(["GPU-c"], nvml)


def test_a_gpu_that_fell_off_is_said(nvml: Any) -> None:
    meter = GpuMeter(["GPU-a"], nvml)
    del nvml.counted_mj["GPU-a"]
    with pytest.raises(ConfigError, match="does not tell its energy any more: GPU is lost"):
        meter.energy()


def test_without_the_library_the_extra_is_named() -> None:
    code = (
        "import sys\nsys.modules['pynvml'] = None\n"
        "from diptych.core.errors import MissingExtraError\n"
        "from diptych.measure.gpu_energy import GpuMeter\n"
        "try:\n    GpuMeter(['GPU-a'])\nexcept MissingExtraError as error:\n    print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "pip install 'diptych[gpu]'\n"
