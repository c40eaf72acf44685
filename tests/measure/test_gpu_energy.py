"""The energy of GPUs, on a stand-in for the library that counts what it is told."""

import subprocess
import sys
from types import ModuleType

import pytest

from diptych.core.errors import ConfigError
from diptych.measure.gpu_energy import GpuMeter


class Nvml(ModuleType):
    """Two GPUs; one that is asked for by another name is not found."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.counted_mj = {"GPU-a": 5_000_000, "GPU-b": 70}
        self.ready = False

    def nvmlInit(self) -> None:
        self.ready = True

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        assert self.ready
        if uuid not in self.counted_mj:
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        return self.counted_mj[handle]


def test_the_energy_is_what_the_gpus_counted_since_then() -> None:
    nvml = Nvml()
    meter = GpuMeter(["GPU-a", "GPU-b"], nvml)
    assert meter.energy().value_j == 0
    nvml.counted_mj["GPU-a"] += 1500
    nvml.counted_mj["GPU-b"] += 250
    energy = meter.energy()
    assert (energy.value_j, energy.low_j, energy.high_j, energy.label) == (1.75,) * 3 + ("counter",)
    assert energy.method.startswith("NVML, 2 GPU(s)")


def test_another_gpu_is_not_counted() -> None:
    nvml = Nvml()
    meter = GpuMeter(["GPU-b"], nvml)
    nvml.counted_mj["GPU-a"] += 1500
    assert meter.energy().value_j == 0


def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="no energy counter of GPU-c: Not Found"):
        GpuMeter(["GPU-c"], Nvml())


def test_without_the_library_the_extra_is_named() -> None:
    code = (
        "import sys\nsys.modules['pynvml'] = None\n"
        "from diptych.core.errors import MissingExtraError\n"
        "from diptych.measure.gpu_energy import GpuMeter\n"
        "try:\n    GpuMeter(['GPU-a'])\nexcept MissingExtraError as error:\n    print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "pip install 'diptych[gpu]'\n"
