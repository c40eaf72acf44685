"""Energy that NVIDIA processors count themselves; the door to their management library, NVML.

Source: NVIDIA, "NVML API Reference", nvmlDeviceGetTotalEnergyConsumption: millijoules since the
driver was loaded, of processors since Volta.
"""

from collections.abc import Sequence
from types import ModuleType

from diptych.core.errors import ConfigError
from diptych.core.extras import require
from diptych.core.values import Energy

EXTRA = "gpu"
LIBRARY = "pynvml"
JOULES_PER_MJ = 1e-3


class GpuMeter:
    """Counts what GPUs use from now on, with whatever else runs on them.

    Args:
        uuids: The GPUs, such as ``GPU-6f6d1e0a-...``; the same whatever is hidden from a process.
        nvml: The library, where it is at hand already.

    Raises:
        MissingExtraError: If the ``gpu`` extra is not installed.
        ConfigError: If there is no such GPU, or it has no counter.
    """

    def __init__(self, uuids: Sequence[str], nvml: ModuleType | None = None) -> None:
        self._nvml = nvml or require(LIBRARY, EXTRA)
        try:
            self._nvml.nvmlInit()
            self._handles = [self._nvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
            self._before = self._read_mj()
        except self._nvml.NVMLError as error:
            raise ConfigError(
                f"no energy counter of {', '.join(uuids)}: {error}", "model the energy instead"
            ) from error

    def energy(self) -> Energy:
        """Read the counters.

        Returns:
            What all of the GPUs have used since the meter was made, labelled ``counter``.

        Raises:
            ConfigError: If a GPU cannot be asked any more.
        """
        try:
            joules = JOULES_PER_MJ * (self._read_mj() - self._before)
        except self._nvml.NVMLError as error:
            raise ConfigError(
                f"a GPU does not tell its energy any more: {error}", "model the energy instead"
            ) from error
        method = f"NVML, {len(self._handles)} GPU(s), everything that ran on them"
        return Energy(value_j=joules, low_j=joules, high_j=joules, label="counter", method=method)

    def _read_mj(self) -> int:
        return sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption(h) for h in self._handles)
