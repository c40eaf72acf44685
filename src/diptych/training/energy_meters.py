"""The energy counters of what a run computes on, where it has some that it may read."""

import logging

import torch

from diptych.core.errors import ConfigError, MissingExtraError
from diptych.measure.gpu_energy import GpuMeter
from diptych.measure.processor_energy import ProcessorMeter, open_meter
from diptych.training.team import Team

logger = logging.getLogger(__name__)


def gpu_meter_of(device: torch.device, team: Team) -> GpuMeter | None:
    """Open the energy counters of the GPUs that a team computes on.

    Args:
        device: This process's.
        team: Process r of it computes on GPU r.

    Returns:
        The meter, for the first process of a team on one machine; None for a processor, and where
        there is no counter or no library to read it.
    """
    if device.type != "cuda" or not _counts(team):
        return None
    places = [device] if team.size == 1 else range(team.size)
    try:
        return GpuMeter([f"GPU-{torch.cuda.get_device_properties(at).uuid}" for at in places])
    except (ConfigError, MissingExtraError) as error:
        logger.warning("%s; the energy of the GPU is not counted", error)
        return None


def processor_meter_of(team: Team) -> ProcessorMeter | None:
    """Open the energy counters of the processors that a team computes on.

    Args:
        team: On one machine or on several.

    Returns:
        The meter, for the first process of a team on one machine; None where there is no counter.
    """
    return open_meter() if _counts(team) else None


def _counts(team: Team) -> bool:
    return team.rank == 0 and team.local_size == team.size
